// A page that is being closed says so by navigator.sendBeacon: a server action
// would be cancelled with the page.

import { z } from 'zod'
import { bookId, connectionId } from '@/lib/members'
import { refusal } from '@/lib/pusher-server'
import { leaveRoom } from '@/lib/rooms'
import { currentUser } from '@/lib/session'

const schema = z.object({ bookId, connectionId })

export async function POST(request: Request): Promise<Response> {
  const user = await currentUser(request.headers)
  if (!user) return new Response('not signed in', { status: 401 })

  const body = schema.safeParse(await request.json().catch(() => null))
  if (!body.success) return new Response(z.prettifyError(body.error), { status: 400 })

  try {
    await leaveRoom(user, body.data.bookId, body.data.connectionId)
    return new Response(null, { status: 204 })
  } catch (error) {
    return refusal(error)
  }
}
