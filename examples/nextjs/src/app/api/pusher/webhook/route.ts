// With a Pusher account: who came and went, as Pusher saw it. The database
// verifies the signature and applies what it says.

import { applyWebhook, refusal } from '@/lib/pusher-server'

export async function POST(request: Request): Promise<Response> {
  const key = request.headers.get('x-pusher-key')
  const signature = request.headers.get('x-pusher-signature')
  if (!key || !signature) return new Response('not signed', { status: 403 })
  try {
    await applyWebhook(key, signature, await request.text()) // as it came: the signature covers these bytes
    return new Response(null, { status: 204 })
  } catch (error) {
    return refusal(error)
  }
}
