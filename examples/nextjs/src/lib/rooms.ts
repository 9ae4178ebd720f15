// Rooms: the app's only calls of presence's functions but for Pusher's, which
// are in pusher-server.ts. Who may read a book is decided here: everybody who is
// signed in, if the book exists. A rule of your own goes into READABLE.

import 'server-only'
import { z } from 'zod'
import { pool } from './db'
import { memberRow, type MemberList } from './members'
import { userInfo, type SessionUser } from './session'

// $1 is the user, $2 the book.
const READABLE = 'book AS b WHERE b.id = $2'

// How long a tab may be silent. While it connects: presence.timeout, 25
// seconds, so that who vanishes is gone within 30. While it polls, every 30
// seconds: browsers let timers of hidden tabs fire once a minute only.
const LEASES = { connecting: null, polling: '75 seconds' } as const

export type Lease = keyof typeof LEASES
export const leases = Object.keys(LEASES) as [Lease, ...Lease[]]

// now: of the database's clock, which joined_at is from; milliseconds.
const joinedRow = z.object({ authorId: z.string().nullable(), now: z.number() })
export type Joined = z.infer<typeof joinedRow> & { userId: string; list: MemberList }

const polledRow = z.object({
  version: z.string(),
  joined: z.boolean(),
  members: z.array(memberRow).nullable()
})
export type Polled = MemberList & { joined: boolean }

export async function isReadable(user: SessionUser, book: string): Promise<boolean> {
  // The user is named too, so that a rule of your own can ask for him.
  const { rowCount } = await pool().query(`SELECT $1::text FROM ${READABLE}`, [user.id, book])
  return rowCount === 1
}

// Null: no such book. Joining again renews the lease.
export async function joinRoom(
  user: SessionUser,
  book: string,
  connection: string,
  lease: Lease
): Promise<Joined | null> {
  const { rows } = await pool().query(
    `SELECT b.author_id AS "authorId", extract(epoch FROM now())::float8 * 1000 AS now,
       presence.join_room($1, b.id, $3, $4, coalesce(b.author_id = $1, false), $5)
     FROM ${READABLE}`,
    [user.id, book, connection, userInfo(user), LEASES[lease]]
  )
  if (!rows[0]) return null
  const room = joinedRow.parse(rows[0])
  const list = await pollRoom(user, book, connection, null)
  return list && { ...room, userId: user.id, list: { version: list.version, members: list.members } }
}

// Ends this tab's connection; the user stays as long as he has another.
export async function leaveRoom(user: SessionUser, book: string, connection: string): Promise<boolean> {
  const { rows } = await pool().query('SELECT presence.leave_room($1, $2, $3) AS left', [user.id, book, connection])
  return rows[0].left
}

// Heartbeat and list in one. Null: no such book. Not joined: the connection is
// unknown or its lease has ended, and the list is right all the same.
export async function pollRoom(
  user: SessionUser,
  book: string,
  connection: string,
  known: string | null
): Promise<Polled | null> {
  const { rows } = await pool().query(
    `SELECT p.version, p.joined, p.members
     FROM (SELECT b.id FROM ${READABLE}) AS b, presence.poll_room($1, b.id, $3, $4) AS p`,
    [user.id, book, connection, known]
  )
  return rows[0] ? polledRow.parse(rows[0]) : null
}
