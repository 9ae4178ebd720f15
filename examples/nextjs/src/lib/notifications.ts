// What the server tells a user on private-user-{id}, in all of his tabs.

import { z } from 'zod'

export const NOTIFICATION = 'notification'

export const notification = z.discriminatedUnion('type', [
  // Somebody began to read a book of the user's.
  z.object({ type: z.literal('reader-joined'), readerName: z.string(), bookId: z.string(), title: z.string() }),
  // The user left a room, in one of his tabs, then: the others leave it too.
  z.object({ type: z.literal('room-left'), bookId: z.string(), at: z.number() }),
  // He signs out, in another tab of this browser: the others leave while they can.
  z.object({ type: z.literal('signing-out') }),
  // One of his sessions ended: is it this one?
  z.object({ type: z.literal('session-ended') })
])

export type Notification = z.infer<typeof notification>
