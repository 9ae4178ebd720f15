// What a room and its members are, on the server and in the browser, and how one
// is read from what PostgreSQL, a route or Pusher sent.

import { z } from 'zod'

// The characters and length that presence allows: a book's id becomes a channel's name.
export const bookId = z.string().regex(/^[A-Za-z0-9_=@,.;-]{1,150}$/)

// A tab's name among the tabs of its user.
export const connectionId = z.string().min(1).max(128)

// The version of a list: a 64-bit number, more than JavaScript's hold, so it stays a string.
export const version = z.string().regex(/^-?\d{1,19}$/)

// presence.channel_prefix of the database: the default.
const CHANNEL_PREFIX = 'presence-room-'

export const channelOf = (book: string) => CHANNEL_PREFIX + book

// The book of a room's channel; null for any other channel.
export const bookOf = (channel: string) =>
  channel.startsWith(CHANNEL_PREFIX) ? channel.slice(CHANNEL_PREFIX.length) : null

export const userChannelOf = (userId: string) => `private-user-${userId}`

// One stay of one user in one room.
export const roomPresence = z.object({
  id: z.string(),
  userId: z.string(),
  bookId: z.string(),
  joinedAt: z.coerce.date(),
  lastActiveAt: z.coerce.date(),
  leftAt: z.coerce.date().nullable(), // null: here now
  isAuthor: z.boolean()
})

export type RoomPresence = z.infer<typeof roomPresence>

// Never fails: a reader whose user_info is missing or odd is a reader all the same.
export const userInfo = z
  .object({
    name: z.string().min(1).catch('A reader'),
    avatarUrl: z.string().nullable().catch(null)
  })
  .catch({ name: 'A reader', avatarUrl: null })

export type UserInfo = z.infer<typeof userInfo>

export const member = z.object({
  userId: z.string(),
  name: z.string(),
  avatarUrl: z.string().nullable(),
  isAuthor: z.boolean(),
  joinedAt: z.number() // milliseconds since 1970, of the database's clock
})

export type Member = z.infer<typeof member>

// An element of the list that presence.poll_room returns.
export const memberRow = z
  .object({ user_id: z.string(), user_info: userInfo, is_author: z.boolean(), joined_at: z.iso.datetime() })
  .transform((row): Member => ({
    userId: row.user_id,
    ...row.user_info,
    isAuthor: row.is_author,
    joinedAt: Date.parse(row.joined_at)
  }))

// The answer to a poll. members: null if the list is still the one that the tab knows, but for those who
// are `added` (or otherwise than before) and `removed`, if it asked for changes.
// joined: whether this tab's connection is known; if not, left says that the user
// has left the room, in another tab: then the tab is not to join again.
export const roomState = z.object({
  version: z.string(),
  members: z.array(member).nullable(),
  added: z.array(member).nullable().default(null), // a server older than the page sends neither
  removed: z.array(z.string()).nullable().default(null),
  joined: z.boolean(),
  left: z.boolean(),
  authorId: z.string().nullable()
})

export type RoomState = z.infer<typeof roomState>

// What may be wrong with a call. unauthorized: nobody is signed in. not-found: no
// such book, or not for this user. invalid: not an input that the app sends.
// unavailable: try again later.
export type ActionError = 'unauthorized' | 'invalid' | 'not-found' | 'unavailable'

export type ActionResult<T> = { success: true; data: T } | { success: false; error: ActionError }

export const failure = (error: ActionError) => ({ success: false, error }) as const
