// With a Pusher account: who came and went, as Pusher saw it. The database
// verifies the signature and applies what it says.

import { readBody } from '@/lib/http'
import { getPusher } from '@/lib/pusher-server'
import { refusal } from '@/lib/sql-state'

// Nothing is signed before it is read: a stranger gets so many bytes, and no more.
const MAX_BODY = 262_144

export async function POST(request: Request): Promise<Response> {
  const key = request.headers.get('x-pusher-key')
  const signature = request.headers.get('x-pusher-signature')
  if (!key || !/^[0-9a-f]{64}$/.test(signature ?? '')) return new Response('not signed', { status: 403 })
  const body = await readBody(request, MAX_BODY) // as it came: the signature covers these bytes
  if (body === null) return new Response('too large', { status: 413 })
  try {
    await getPusher().applyWebhook(key, signature!, body)
    return new Response(null, { status: 204 })
  } catch (error) {
    return refusal(error)
  }
}
