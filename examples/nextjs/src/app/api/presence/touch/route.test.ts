import { Client } from 'pg'
import { beforeAll, describe, expect, it } from 'vitest'
import { asOwner, membersOf, newBook, setEverywhere, signUp, type Person } from '../../../../../test/server/people'
import '../../../../../test/server/request'
import { ask } from '../../../../../test/server/routes'
import { POST as join } from '../join/route'
import { POST as leave } from '../leave/route'
import { POST } from './route'

let ann: Person

beforeAll(async () => {
  ann = await signUp('Ann')
})

const tabIn = (bookId: string) => ({ bookId, connectionId: 'tab' })
const touch = (body: unknown, person: Person | null = ann) => ask(POST, body, person)
const joins = (bookId: string) => ask(join, { ...tabIn(bookId), lease: 'connecting' }, ann)
const closes = (bookId: string) => ask(leave, { ...tabIn(bookId), closing: true }, ann)

const leasesIn = async (bookId: string): Promise<number[]> =>
  (
    await asOwner('SELECT extract(epoch FROM ttl)::int AS seconds FROM presence.connections WHERE book_id = $1', [
      bookId
    ])
  ).map(({ seconds }) => seconds)

// A leave that has happened, and that nobody else sees until it has ended by COMMIT, or has not happened.
async function leaveToBeEnded(bookId: string) {
  const client = new Client({ connectionString: process.env.TEST_OWNER_URL })
  await client.connect()
  await client.query('BEGIN')
  await client.query('SELECT presence.leave_room($1, $2)', [ann.id, bookId])
  return async (how: 'COMMIT' | 'ROLLBACK') => {
    await client.query(how)
    await client.end()
  }
}

describe('POST /api/presence/touch', () => {
  it('gives the connection of a tab that has joined the lease of one that polls', async () => {
    const bookId = await newBook()
    await joins(bookId)
    expect(await leasesIn(bookId)).toEqual([25])
    const { status, headers, body } = await touch(tabIn(bookId))
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({ success: true, data: { joined: true } })
    expect(await leasesIn(bookId)).toEqual([75])
  })

  it('leaves what others see of the reader as it is', async () => {
    const bookId = await newBook(ann.id)
    await joins(bookId)
    const before = await membersOf(bookId)
    expect(before).toMatchObject([{ user_id: ann.id, user_info: { name: 'Ann' }, is_author: true }])
    await touch(tabIn(bookId))
    expect(await membersOf(bookId)).toEqual(before)
  })

  it('opens nothing: not for another tab, nor for another user', async () => {
    const bookId = await newBook()
    expect((await touch(tabIn(bookId))).body).toEqual({ success: true, data: { joined: false } })
    expect(await membersOf(bookId)).toEqual([])
    await joins(bookId)
    expect((await touch({ bookId, connectionId: 'another' })).body.data).toEqual({ joined: false })
    expect((await touch(tabIn(bookId), await signUp('Ben'))).body.data).toEqual({ joined: false })
    expect(await membersOf(bookId)).toMatchObject([{ user_id: ann.id, connections: 1 }])
    expect(await leasesIn(bookId)).toEqual([25])
  })

  it('a page that was closed while it joined is a ghost for 30 seconds at most', async () => {
    const bookId = await newBook()
    const { status } = await closes(bookId) // has overtaken the join
    expect(status).toBe(200)
    await joins(bookId)
    expect(await leasesIn(bookId)).toEqual([25])
    await expect.poll(() => membersOf(bookId), { timeout: 30_000, interval: 500 }).toEqual([])
  })

  it('a page that was closed stays closed when its touch is late, whether it lingers or not', async () => {
    for (const linger of ['0', '1500']) {
      await setEverywhere('presence.linger', linger)
      try {
        const bookId = await newBook()
        await joins(bookId)
        await closes(bookId)
        expect((await touch(tabIn(bookId))).body.data).toEqual({ joined: false })
        await expect.poll(() => membersOf(bookId), { timeout: 10_000 }).toEqual([])
      } finally {
        await setEverywhere('presence.linger', '0')
      }
    }
  })

  it.each([
    ['brings nobody back who leaves at that moment', 'COMMIT', 500, false],
    // Longer than the 5 seconds that Prisma has for a transaction.
    ['waits for a leave that does not happen', 'ROLLBACK', 6_000, true]
  ] as const)('%s', async (_, how, after, joined) => {
    const bookId = await newBook()
    await joins(bookId)
    const end = await leaveToBeEnded(bookId)
    let answered = false
    const answer = touch(tabIn(bookId)).finally(() => (answered = true))
    await new Promise((resolve) => setTimeout(resolve, after))
    const waited = !answered
    await end(how)
    expect(waited).toBe(true)
    expect(await answer).toMatchObject({ status: 200, body: { data: { joined } } })
    expect(await leasesIn(bookId)).toEqual(joined ? [75] : [])
    expect(await membersOf(bookId)).toHaveLength(joined ? 1 : 0)
    const stays = 'SELECT user_info FROM presence.room_presence WHERE book_id = $1'
    expect(await asOwner(stays, [bookId])).toMatchObject([{ user_info: { name: 'Ann' } }])
  })

  it('answers 401 without a session', async () => {
    const bookId = await newBook()
    await joins(bookId)
    expect((await touch(tabIn(bookId), null)).status).toBe(401)
    expect(await leasesIn(bookId)).toEqual([25])
  })

  it.each([
    ['no JSON', 'touch'],
    ['no tab', { bookId: 'emma' }],
    ['an empty tab', { bookId: 'emma', connectionId: '' }],
    ['a book that can have no room', { bookId: 'a b', connectionId: 'tab' }],
    ['a body that is too large', { bookId: 'emma', connectionId: 'tab', more: 'x'.repeat(5_000) }]
  ])('answers 400 for %s', async (_, body) => {
    expect((await touch(body)).status).toBe(400)
  })
})
