// Pusher, the server's side: what the database signs, and its HTTP API. The secret is in presence.pusher_app and never leaves it:
// this process has none, and needs no Pusher library. Its calls have that library's names.

import 'server-only'
import { env } from './env'
import { presence } from './presence'
import { pusherConfig } from './pusher-config'
import { userInfo, type SessionUser } from './user-info'

// Where its HTTP API is.
function apiUrl(): string {
  const { PUSHER_API_URL: url } = env()
  if (url) return url.replace(/\/+$/, '')
  const config = pusherConfig()
  if (config.kind === 'pusher') return `https://api-${config.cluster}.pusher.com`
  return `${config.tls ? 'https' : 'http'}://${config.host}:${config.port}`
}

const API_TIMEOUT = 5_000

class PusherServer {
  // The answer to pusher-js's channel authorization, byte for byte as it was signed.
  authorizeChannel(user: SessionUser, socketId: string, channel: string): Promise<string> {
    return presence.pusherAuthorizeChannel(user.id, socketId, channel, userInfo(user), env().PUSHER_KEY)
  }

  // The answer to pusher-js's signin().
  authenticateUser(user: SessionUser, socketId: string): Promise<string> {
    return presence.pusherAuthenticateUser(user.id, socketId, userInfo(user), env().PUSHER_KEY)
  }

  trigger(channels: string | string[], event: string, data: unknown): Promise<Response> {
    return this.post('/events', { name: event, channels: [channels].flat(), data: JSON.stringify(data) })
  }

  // Ends the sockets that have signed in as this user.
  terminateUserConnections(userId: string): Promise<Response> {
    return this.post(`/users/${encodeURIComponent(userId)}/terminate_connections`, {})
  }

  // The database verifies the signature, and applies what the webhook says.
  applyWebhook(key: string, signature: string, body: string): Promise<number> {
    return presence.pusherApplyWebhook(key, signature, body)
  }

  private async post(path: string, body: object): Promise<Response> {
    const text = JSON.stringify(body)
    const full = `/apps/${env().PUSHER_APP_ID}${path}`
    const query = await presence.pusherSignRequest('POST', full, text, env().PUSHER_KEY)
    const response = await fetch(`${apiUrl()}${full}?${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: text,
      signal: AbortSignal.timeout(API_TIMEOUT)
    })
    if (!response.ok) throw new Error(`Pusher's API: ${response.status} ${await response.text()}`)
    return response
  }
}

let created: PusherServer | undefined

export function getPusher(): PusherServer {
  return (created ??= new PusherServer())
}
