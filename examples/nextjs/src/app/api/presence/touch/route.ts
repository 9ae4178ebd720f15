// A tab that has joined is going to poll: its connection gets the lease for that, if
// it is there. None is opened, so this may come late, after the tab has left.

import { z } from 'zod'
import { presenceRoute } from '@/lib/http'
import { bookId, connectionId } from '@/lib/members'
import { touchTab } from '@/lib/rooms'

const input = z.object({ bookId, connectionId })

export const POST = (request: Request): Promise<Response> =>
  presenceRoute(
    request,
    (body) => input.safeParse(body),
    (user, { bookId, connectionId }) => touchTab(user, bookId, connectionId)
  )
