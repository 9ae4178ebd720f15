import { DatabaseError } from 'pg'
import { describe, expect, it, vi } from 'vitest'
import { asOwner, membersOf, newBook, signUp, type Person } from '../../../../../test/server/people'
import '../../../../../test/server/request'
import { ask } from '../../../../../test/server/routes'
import { roomState, type Member } from '@/lib/members'
import { presence } from '@/lib/presence'
import { pool } from '@/lib/prisma'
import { applyPoll } from '@/lib/room-list'
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

  it('tells a tab that asks for changes those only, and the whole list where it knows too little', async () => {
    const bookId = await newBook()
    const reader = await signUp('Reader')
    await enter(reader, bookId)
    const list = new Map<string, Member>()
    let known: string | null = null
    let wholes = 0
    const follow = async () => {
      const { data } = (await poll({ bookId, known, changes: true }, reader)).body
      const state = roomState.parse(data)
      applyPoll(list, state)
      known = state.version
      if (state.members) wholes++
      const { members } = roomState.parse((await poll({ bookId }, reader)).body.data)
      const byId = (members: Iterable<Member>) => [...members].sort((a, b) => (a.userId < b.userId ? -1 : 1))
      expect(byId(list.values())).toEqual(byId(members!))
    }
    await follow()
    for (let round = 0; round < 25; round++) {
      for (let changes = Math.floor(Math.random() * 4); changes > 0; changes--) {
        const user = `user ${Math.floor(Math.random() * 9)}`
        const call =
          Math.random() < 0.5 ? 'leave_room($1, $2)' : `join_room($1, $2, user_info => '{"name": "${round}"}')`
        await asOwner(`SELECT presence.${call}`, [user, bookId])
      }
      await follow()
    }
    expect(wholes).toBe(1)
    // More than a room remembers of itself.
    await asOwner(`SELECT presence.join_room('crowd ' || i, $1) FROM generate_series(1, 600) AS i`, [bookId])
    await follow()
    expect(wholes).toBe(2)
    // A tab of before this build asks for nothing of the kind.
    await asOwner(`SELECT presence.leave_room('crowd 1', $1)`, [bookId])
    const { data } = (await poll({ bookId, known }, reader)).body
    expect(data.members).toHaveLength(list.size - 1)
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

  it('has the whole list from a database that knows no changes', async () => {
    const bookId = await newBook()
    const ann = await signUp('Ann')
    await enter(ann, bookId)
    const { version } = (await poll({ bookId }, ann)).body.data
    await asOwner(`SELECT presence.join_room('ben', $1)`, [bookId])
    const missing = Object.assign(new DatabaseError('no such function', 0, 'error'), { code: '42883' })
    const changes = vi.spyOn(presence, 'pollRoomChanges').mockRejectedValue(missing)
    for (let asked = 0; asked < 2; asked++)
      expect((await poll({ bookId, known: version, changes: true }, ann)).body.data).toMatchObject({
        members: [{ userId: ann.id }, { userId: 'ben' }],
        added: null
      })
    expect(changes).toHaveBeenCalledTimes(1) // it is not asked again
    changes.mockRestore()
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
