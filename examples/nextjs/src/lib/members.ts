// What a member of a room is, on the server and in the browser, and how one is
// read from what PostgreSQL or Pusher sent.

import { z } from 'zod'

// The characters and length that presence allows: a book's id becomes a channel's name.
export const bookId = z.string().regex(/^[A-Za-z0-9_=@,.;-]{1,150}$/)

// A tab's name among the tabs of its user.
export const connectionId = z.string().min(1).max(128)

// presence.channel_prefix of the database: the default.
const CHANNEL_PREFIX = 'presence-room-'

export const channelOf = (book: string) => CHANNEL_PREFIX + book

// The book of a room's channel; null for any other channel.
export const bookOf = (channel: string) =>
  channel.startsWith(CHANNEL_PREFIX) ? channel.slice(CHANNEL_PREFIX.length) : null

// Never fails: a reader whose user_info is missing or odd is a reader all the same.
export const userInfo = z
  .object({
    name: z.string().min(1).catch('A reader'),
    avatarUrl: z.string().nullable().catch(null)
  })
  .catch({ name: 'A reader', avatarUrl: null })

export type UserInfo = z.infer<typeof userInfo>

// An element of the list that presence.poll_room returns.
export const memberRow = z
  .object({ user_id: z.string(), user_info: userInfo, is_author: z.boolean(), joined_at: z.iso.datetime() })
  .transform((row) => ({
    userId: row.user_id,
    ...row.user_info,
    isAuthor: row.is_author,
    joinedAt: Date.parse(row.joined_at)
  }))

export type Member = z.infer<typeof memberRow>

// version: of the list, to be sent with the next poll. A 64-bit number, more
// than JavaScript's hold, so it stays a string. members: null if the list is
// the one the client knows.
export type MemberList = { version: string; members: Member[] | null }
