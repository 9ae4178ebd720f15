// Rooms, as the app sees them. Who may read a book is decided here: everybody who
// is signed in, if the book exists. A rule of your own goes into findReadable.

import 'server-only'
import { randomUUID } from 'node:crypto'
import { after } from 'next/server'
import { memberRow, type Member, type RoomPresence, type RoomState } from './members'
import { presence, presenceOn } from './presence'
import { prisma } from './prisma'
import { sqlError } from './sql-state'
import { notifyUser } from './users'
import { userInfo, type SessionUser } from './user-info'

// How long a tab may be silent. While it connects: presence.timeout, 25
// seconds, so that who vanishes is gone within 30. While it polls, every 30
// seconds: browsers let timers of hidden tabs fire once a minute only. That one
// is given by touchTab(), to a connection that is there: a join may be overtaken by
// the leave that was to end it, and then its lease has to.
const LEASES = { connecting: null, polling: '75 seconds' } as const

export type Lease = keyof typeof LEASES
export const leases = Object.keys(LEASES) as [Lease, ...Lease[]]

// What a tab says of itself, where it matters.
export type TabOptions = { connectionId?: string | undefined; lease?: Lease | undefined }

// Null: no such book, or not for this user.
export const findReadable = (_user: SessionUser, id: string) =>
  prisma.book.findUnique({ where: { id }, select: { id: true, title: true, authorId: true } })

export const isReadable = async (user: SessionUser, id: string) => (await findReadable(user, id)) !== null

// Makes the user a member, or renews the lease of this tab's connection; the
// author of the book is told of a new one. Null: no such book.
export async function joinRoom(
  user: SessionUser,
  bookId: string,
  { connectionId, lease = 'connecting' }: TabOptions = {}
): Promise<RoomPresence | null> {
  const book = await findReadable(user, bookId)
  if (!book) return null
  const joined = await presence.joinRoom(user.id, bookId, {
    connectionId,
    userInfo: userInfo(user),
    isAuthor: book.authorId === user.id,
    ttl: LEASES[lease]
  })
  const { authorId, title } = book
  if (joined.added && authorId && authorId !== user.id)
    after(() => notifyUser(authorId, { type: 'reader-joined', readerName: user.name, bookId, title }))
  const { id, userId, joinedAt, lastActiveAt, isAuthor } = joined
  return { id, userId, bookId, joinedAt, lastActiveAt, leftAt: null, isAuthor }
}

// left: he is no longer a member, by this call. at: by the database's clock.
export type Left = { left: boolean; at: Date }

// The user's leave: ends all of his tabs, which are told. With a connection, that
// one: he stays as long as he has another.
export async function leaveRoom(user: SessionUser, bookId: string, connectionId?: string): Promise<Left> {
  const [row] = await prisma.$queryRaw<[Left]>`
    SELECT presence.leave_room(${user.id}, ${bookId}, ${connectionId ?? null}) AS left, now() AS at`
  if (connectionId === undefined) after(() => notifyUser(user.id, { type: 'room-left', bookId, at: row.at.getTime() }))
  return row
}

// A tab that has joined is going to poll. Not joined: its connection is not there, and none is opened.
export const touchTab = async (user: SessionUser, bookId: string, connectionId: string) => ({
  joined: await renew(user, bookId, connectionId, LEASES.polling)
})

// A page is being closed, or reloaded: its connection ends after presence.linger,
// as that of a socket does, unless the reader is back by then. Meanwhile it has a name
// that the page does not know: a touch that comes late would renew it.
export async function closeTab(user: SessionUser, bookId: string, connectionId: string): Promise<Left> {
  const linger = await lingerOf()
  if (!linger) return leaveRoom(user, bookId, connectionId)
  await renew(user, bookId, connectionId, linger, randomUUID())
  return { left: false, at: new Date() }
}

class HasLeft extends Error {}

// Gives a connection that is there another lease, and perhaps another name. False: it is not there.
async function renew(user: SessionUser, bookId: string, connectionId: string, ttl: string, name = connectionId) {
  const run = async (room: ReturnType<typeof presenceOn>) => {
    if (!(await room.touchRoom(user.id, bookId, connectionId))) throw new HasLeft()
    const { added } = await room.joinRoom(user.id, bookId, { connectionId: name, ttl })
    if (added) throw new HasLeft() // between the two: he is not to be brought back
    if (name !== connectionId) await room.leaveRoom(user.id, bookId, connectionId)
  }
  try {
    await prisma.$transaction((tx) => run(presenceOn(tx)))
    return true
  } catch (error) {
    if (error instanceof HasLeft) return false
    throw error
  }
}

// presence.linger, as a lease (a second at least); null if there is none.
async function lingerOf(): Promise<string | null> {
  const [row] = await prisma.$queryRaw<{ ms: number | null }[]>`
    SELECT (extract(epoch FROM nullif(current_setting('presence.linger', true), '')::interval) * 1000)::float8 AS ms`
  return row?.ms ? `${Math.max(row.ms, 1_000)} milliseconds` : null
}

// changes: the tab can apply them to the list that it knows.
export type PollOptions = { connectionId: string; known: string | null; presenceId: string | null; changes: boolean }

const UNDEFINED_FUNCTION = '42883'
let hasChanges = true // presence.poll_room_changes: the extension has it since 0.3

async function poll(userId: string, bookId: string, { connectionId, known, changes }: PollOptions) {
  try {
    if (changes && hasChanges) return await presence.pollRoomChanges(userId, bookId, connectionId, known)
  } catch (error) {
    if (sqlError(error)?.code !== UNDEFINED_FUNCTION) throw error
    hasChanges = false
  }
  return { ...(await presence.pollRoom(userId, bookId, connectionId, known)), added: null, removed: null }
}

const members = (rows: unknown[] | null) => rows && memberRow.array().parse(rows)

// Heartbeat and list in one. Null: no such book. Not joined: the connection is
// unknown or its lease has ended, and the list is right all the same.
export async function pollRoom(user: SessionUser, bookId: string, options: PollOptions): Promise<RoomState | null> {
  const { presenceId } = options
  const book = await findReadable(user, bookId)
  if (!book) return null
  const { version, joined, ...list } = await poll(user.id, bookId, options)
  return {
    version,
    members: members(list.members),
    added: members(list.added),
    removed: list.removed,
    joined,
    left: !joined && presenceId !== null && (await hasLeft(user, bookId, presenceId)),
    authorId: book.authorId
  }
}

// Whether he ended that stay himself, and not silence, a crash or a deleted book.
async function hasLeft(user: SessionUser, bookId: string, presenceId: string): Promise<boolean> {
  const stay = await prisma.roomPresence.findUnique({ where: { bookId_id: { bookId, id: BigInt(presenceId) } } })
  return stay?.userId === user.id && stay.leaveReason === 'left'
}

// Who is there, without being there. Null: no such book.
export async function listMembers(user: SessionUser, bookId: string): Promise<Member[] | null> {
  if (!(await isReadable(user, bookId))) return null
  const { members } = await presence.pollRoom(user.id, bookId)
  return memberRow.array().parse(members)
}
