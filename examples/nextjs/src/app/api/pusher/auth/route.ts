// pusher-js posts socket_id and channel_name here before it subscribes to a
// private or presence channel, and socket_id alone for signin(). The database
// decides about the channel, and signs.

import { z } from 'zod'
import { bookOf } from '@/lib/members'
import { authenticateUser, authorizeChannel, refusal } from '@/lib/pusher-server'
import { isReadable } from '@/lib/rooms'
import { currentUser } from '@/lib/session'

const form = z.object({ socket_id: z.string(), channel_name: z.string().optional() })

export async function POST(request: Request): Promise<Response> {
  const user = await currentUser(request.headers)
  if (!user) return new Response('not signed in', { status: 401 })

  const body = form.safeParse(Object.fromEntries(new URLSearchParams(await request.text())))
  if (!body.success) return new Response('socket_id and channel_name expected', { status: 400 })
  const { socket_id: socketId, channel_name: channel } = body.data

  try {
    if (channel === undefined) return json(await authenticateUser(user, socketId))
    // A channel that is no room we know is the user's own, or nobody's.
    const book = bookOf(channel)
    const allowed = book === null ? channel === `private-user-${user.id}` : await isReadable(user, book)
    if (!allowed) return new Response('not your channel', { status: 403 })
    return json(await authorizeChannel(user, socketId, channel))
  } catch (error) {
    return refusal(error)
  }
}

const json = (body: string) => new Response(body, { headers: { 'content-type': 'application/json' } })
