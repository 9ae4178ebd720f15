import { describe, expect, it, vi } from 'vitest'
import { asOwner, membersOf, newBook, signUp, type Person } from '../../../../../test/server/people'
import '../../../../../test/server/request'
import { ask } from '../../../../../test/server/routes'
import { pool } from '@/lib/prisma'
import { joinRoom } from '@/lib/rooms'
import { POST } from './route'

const tab = { connectionId: 'tab', known: null, presenceId: null }
const poll = (input: object, person: Person | null) => ask(POST, { ...tab, ...input }, person)
const enter = (person: Person, bookId: string) =>
  joinRoom({ ...person, image: null }, bookId, { connectionId: 'tab', lease: 'polling' })

describe('POST /api/presence/poll', () => {
  it('returns the members, oldest first, and no list while it is the known one', async () => {
    const bookId = await newBook()
    const [ann, ben] = [await signUp('Ann'), await signUp('Ben')]
    await enter(ann, bookId)
    await enter(ben, bookId)
    const first = await poll({ bookId }, ben)
    expect(first.headers.get('cache-control')).toBe('no-store')
    expect(first.body.data).toMatchObject({
      joined: true,
      left: false,
      authorId: null,
      members: [
        { userId: ann.id, name: 'Ann' },
        { userId: ben.id, name: 'Ben' }
      ]
    })
    const { version } = first.body.data
    expect((await poll({ bookId, known: version }, ben)).body.data).toMatchObject({ version, members: null })
    await asOwner('SELECT presence.leave_room($1, $2)', [ann.id, bookId])
    expect((await poll({ bookId, known: version }, ben)).body.data.members).toMatchObject([{ userId: ben.id }])
  })

  it('renews the lease', async () => {
    const bookId = await newBook()
    const ann = await signUp('Ann')
    await enter(ann, bookId)
    const heard = async () =>
      (await asOwner('SELECT last_active_at FROM presence.room_members($1)', [bookId]))[0].last_active_at.getTime()
    const before = await heard()
    await poll({ bookId }, ann)
    expect(await heard()).toBeGreaterThan(before)
  })

  it('tells a tab whose lease has ended from one whose user has left', async () => {
    const bookId = await newBook()
    const ann = await signUp('Ann')
    const stay = await enter(ann, bookId)
    await asOwner("SELECT presence.join_room($1, $2, 'tab', ttl => '1 s')", [ann.id, bookId])
    await expect.poll(() => membersOf(bookId), { timeout: 10_000 }).toEqual([])
    expect((await poll({ bookId, presenceId: stay!.id }, ann)).body.data).toMatchObject({ joined: false, left: false })
    const again = await enter(ann, bookId)
    await asOwner('SELECT presence.leave_room($1, $2)', [ann.id, bookId])
    expect((await poll({ bookId, presenceId: again!.id }, ann)).body.data).toMatchObject({ joined: false, left: true })
    expect(await membersOf(bookId)).toEqual([])
  })

  it('says nothing of the stays of others', async () => {
    const bookId = await newBook()
    const [ann, ben] = [await signUp('Ann'), await signUp('Ben')]
    const stay = await enter(ann, bookId)
    await asOwner('SELECT presence.leave_room($1, $2)', [ann.id, bookId])
    expect((await poll({ bookId, presenceId: stay!.id }, ben)).body.data).toMatchObject({ joined: false, left: false })
  })

  it('renews the session of who reads for days, and the browser is told', async () => {
    const bookId = await newBook()
    const ann = await signUp('Ann')
    const expires = async () =>
      (await asOwner('SELECT "expiresAt" FROM "session" WHERE "userId" = $1', [ann.id]))[0].expiresAt.getTime()
    expect((await poll({ bookId }, ann)).headers.getSetCookie()).toEqual([])
    await asOwner(`UPDATE "session" SET "expiresAt" = now() + interval '2 days' WHERE "userId" = $1`, [ann.id])
    const { headers } = await poll({ bookId }, ann)
    expect(headers.getSetCookie().join()).toContain('better-auth.session_token=')
    expect(await expires()).toBeGreaterThan(Date.now() + 6 * 86_400_000)
  })

  it.each([
    ['no number', 'abc'],
    ['a number with a space', ' 5'],
    ['a number that is too large', '9999999999999999999'],
    ['a number that JavaScript has rounded', 4190331999141695971]
  ])('refuses a version that is %s', async (_, known) => {
    expect((await poll({ bookId: await newBook(), known }, await signUp('Ann'))).status).toBe(400)
  })

  it('answers 401, 404 and 503', async () => {
    const ann = await signUp('Ann')
    expect((await poll({ bookId: 'emma' }, null)).status).toBe(401)
    expect((await poll({ bookId: 'no-such-book' }, ann)).status).toBe(404)
    const quiet = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const query = vi.spyOn(pool, 'query').mockRejectedValue(new Error('no connection') as never)
    expect((await poll({ bookId: 'emma' }, ann)).status).toBe(503)
    query.mockRestore()
    quiet.mockRestore()
  })

  it('answers 429 to who asks too often, and only to him', async () => {
    const [ann, ben] = [await signUp('Ann'), await signUp('Ben')]
    const bookId = await newBook()
    const statuses = new Set<number>()
    for (let asked = 0; asked < 260; asked++) statuses.add((await poll({ bookId }, ann)).status)
    expect(statuses).toEqual(new Set([200, 429]))
    expect((await poll({ bookId }, ben)).status).toBe(200)
  })
})
