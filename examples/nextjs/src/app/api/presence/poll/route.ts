// A tab's heartbeat, and the list if it is another one than the tab has, or what has changed of it.

import { z } from 'zod'
import { presenceRoute } from '@/lib/http'
import { bookId, connectionId, version } from '@/lib/members'
import { pollRoom } from '@/lib/rooms'

const input = z.object({
  bookId,
  connectionId,
  known: version.nullable(), // the version of the list that the tab has
  presenceId: version.nullable(), // the id that joinRoom returned
  changes: z.boolean().default(false) // a tab older than this asks for the whole list
})

export const POST = (request: Request): Promise<Response> =>
  presenceRoute(
    request,
    (body) => input.safeParse(body),
    (user, { bookId, ...tab }) => pollRoom(user, bookId, tab)
  )
