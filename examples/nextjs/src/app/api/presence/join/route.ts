// A tab joins, as joinRoom does: again after its lease has ended, or because the
// page is older than the server and its actions are gone. The lease is `connecting`;
// pages that are older than the route touch ask for `polling`.

import { z } from 'zod'
import { presenceRoute } from '@/lib/http'
import { bookId, connectionId } from '@/lib/members'
import { joinRoom, leases } from '@/lib/rooms'

const input = z.object({ bookId, connectionId, lease: z.enum(leases) })

export const POST = (request: Request): Promise<Response> =>
  presenceRoute(
    request,
    (body) => input.safeParse(body),
    (user, { bookId, ...tab }) => joinRoom(user, bookId, tab)
  )
