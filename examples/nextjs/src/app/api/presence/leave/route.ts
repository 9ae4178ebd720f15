// A tab goes: the page is being closed (by navigator.sendBeacon, as an action would
// be cancelled with the page), or its socket holds the presence now. Without a
// connection, the user leaves, as by leaveRoom.

import { z } from 'zod'
import { presenceRoute } from '@/lib/http'
import { bookId, connectionId } from '@/lib/members'
import { closeTab, leaveRoom } from '@/lib/rooms'

const input = z.object({
  bookId,
  connectionId: connectionId.optional(),
  closing: z.boolean().default(false) // the page may be back in a moment, reloaded
})

export const POST = (request: Request): Promise<Response> =>
  presenceRoute(
    request,
    (body) => input.safeParse(body),
    (user, { bookId, connectionId, closing }) =>
      closing && connectionId ? closeTab(user, bookId, connectionId) : leaveRoom(user, bookId, connectionId)
  )
