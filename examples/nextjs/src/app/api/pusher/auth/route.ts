// pusher-js posts socket_id and channel_name here before it subscribes to a
// private or presence channel, and socket_id alone for signin(). The database
// decides about the channel, and signs.

import { z } from 'zod'
import { readBody } from '@/lib/http'
import { bookOf, userChannelOf } from '@/lib/members'
import { getPusher } from '@/lib/pusher-server'
import { isWithinLimit } from '@/lib/rate-limit'
import { isReadable } from '@/lib/rooms'
import { currentUser } from '@/lib/session'
import { refusal } from '@/lib/sql-state'

const form = z.object({ socket_id: z.string(), channel_name: z.string().optional() })
const MAX_BODY = 1_024

export async function POST(request: Request): Promise<Response> {
  const user = await currentUser(request.headers)
  if (!user) return new Response('not signed in', { status: 401 })
  if (!(await isWithinLimit('auth', user.id))) return new Response('too many requests', { status: 429 })

  const text = await readBody(request, MAX_BODY)
  const body = form.safeParse(Object.fromEntries(new URLSearchParams(text ?? '')))
  if (!body.success) return new Response('socket_id and channel_name expected', { status: 400 })
  const { socket_id: socketId, channel_name: channel } = body.data

  try {
    if (channel === undefined) return json(await getPusher().authenticateUser(user, socketId))
    // A channel that is no room we know is the user's own, or nobody's.
    const book = bookOf(channel)
    const allowed = book === null ? channel === userChannelOf(user.id) : await isReadable(user, book)
    if (!allowed) return new Response('not your channel', { status: 403 })
    return json(await getPusher().authorizeChannel(user, socketId, channel))
  } catch (error) {
    return refusal(error)
  }
}

const json = (body: string) =>
  new Response(body, { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } })
