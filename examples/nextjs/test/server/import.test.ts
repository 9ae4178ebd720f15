// db/import-room-presences.sql: an app's own table comes over while the app writes to it.

import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asOwner, membersOf, randomName } from './people'

const room = randomName('legacy')
const run = (...args: string[]) =>
  execFileSync(
    `${process.env.TEST_BINDIR}/psql`,
    ['-X', '-q', '-d', process.env.TEST_OWNER_URL!, ...args, '-f', 'db/import-room-presences.sql'],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  )

const write = (id: string, user: string, more: { book?: string; active?: string; left?: string | null } = {}) =>
  asOwner(
    `INSERT INTO room_presences VALUES ($1, $2, $3, now() - interval '1 h', now() - $4::interval, now() - $5::interval, $2 = 'mara')`,
    [id, user, more.book ?? room, more.active ?? '5 s', more.left ?? null]
  )
const history = () =>
  asOwner(
    `SELECT user_id, left_at IS NULL AS open, leave_reason, is_author FROM presence.room_presence
     WHERE book_id = $1 ORDER BY user_id, joined_at, id`,
    [room]
  )

beforeAll(async () => {
  await asOwner(`CREATE TABLE room_presences (
    id text PRIMARY KEY, "userId" text NOT NULL, "bookId" text NOT NULL, "joinedAt" timestamptz NOT NULL,
    "lastActiveAt" timestamptz NOT NULL, "leftAt" timestamptz, "isAuthor" boolean NOT NULL DEFAULT false,
    UNIQUE ("userId", "bookId", "leftAt"))`)
  await asOwner('GRANT SELECT, INSERT, UPDATE ON room_presences TO reading_app')
})

afterAll(() => asOwner('DROP TABLE room_presences, room_presences_imported'))

describe('an existing room_presences', { timeout: 60_000 }, () => {
  it('comes over: duplicates as one, ghosts as ended, the past as it was', async () => {
    await write('c1', 'ann')
    await write('c2', 'ann') // NULL is not equal to NULL
    await write('c3', 'mara')
    await write('c4', 'ghost', { active: '3 days' })
    await write('c5', 'ben', { left: '10 min', active: '10 min' })
    await write('c6', 'odd', { book: 'no room: a space' })
    await asOwner(
      `INSERT INTO room_presences SELECT 'old-' || n, 'old ' || n, $1, now() - interval '2 h', now() - interval '1 h', now() - interval '1 h'
       FROM generate_series(1, 2500) AS n`,
      [room]
    )
    run()
    const all = await history()
    expect(all.filter(({ open }) => open)).toMatchObject([{ user_id: 'ann' }, { user_id: 'mara', is_author: true }])
    expect(all.filter(({ user_id }) => ['ghost', 'ben'].includes(user_id))).toMatchObject([
      { user_id: 'ben', leave_reason: 'left' },
      { user_id: 'ghost', leave_reason: 'timeout' }
    ])
    expect(all).toHaveLength(2_500 + 4)
    expect(await membersOf(room)).toMatchObject([{ connections: 2 }, { user_id: 'mara' }])
    const [{ since }] = await asOwner(
      "SELECT now() - joined_at > '59 min' AS since FROM presence.room_members($1) LIMIT 1",
      [room]
    )
    expect(since).toBe(true)
    expect(await asOwner("SELECT FROM room_presences_imported WHERE legacy_id = 'c6'")).toEqual([])
  })

  it('again, nothing changes', async () => {
    const before = await history()
    run()
    expect(await history()).toEqual(before)
  })

  it('is followed while the old version writes', async () => {
    await write('d1', 'dora')
    expect((await membersOf(room)).map(({ user_id }) => user_id)).toContain('dora')
    await asOwner(`UPDATE room_presences SET "lastActiveAt" = now() WHERE id = 'd1'`)
    await asOwner(`UPDATE room_presences SET "leftAt" = now() WHERE id = 'd1'`)
    expect((await membersOf(room)).map(({ user_id }) => user_id)).not.toContain('dora')
    // of two rows of one reader, the first one's end is not his
    await asOwner(`UPDATE room_presences SET "leftAt" = now() WHERE id = 'c1'`)
    expect(await membersOf(room)).toMatchObject([{ user_id: 'ann', connections: 1 }, { user_id: 'mara' }])
    await write('d2', 'eve', { book: 'no room: a space' }) // the app goes on
    expect((await history()).filter(({ user_id }) => user_id === 'dora')).toMatchObject([{ leave_reason: 'left' }])
  })

  it('while readers come and go at the old table, none is lost', async () => {
    const writing = (async () => {
      for (let n = 0; n < 60; n++) await write(`e${n}`, `reader ${n}`)
    })()
    run()
    await writing
    expect((await membersOf(room)).filter(({ user_id }) => user_id.startsWith('reader '))).toHaveLength(60)
  })

  it('is done with: no trigger, no function, the old table as it was', async () => {
    run('-v', 'finish=1')
    expect(await asOwner("SELECT FROM pg_trigger WHERE tgname = 'room_presences_follow'")).toEqual([])
    expect(await asOwner("SELECT FROM pg_proc WHERE proname LIKE 'room_presences_%'")).toEqual([])
    expect((await asOwner('SELECT count(*)::int AS rows FROM room_presences'))[0].rows).toBe(2_500 + 8 + 60)
    await asOwner('SELECT presence.forget_book($1)', [room])
  })
})
