// Pusher, the server's side: what the browser needs to connect, and what the
// database signs. The secret is in presence.pusher_app and never leaves it: this
// process has no Pusher secret and needs no Pusher library.

import 'server-only'
import { DatabaseError } from 'pg'
import { pool } from './db'
import { env } from './env'
import type { PusherConfig } from './pusher-client'
import { userInfo, type SessionUser } from './session'

export function pusherConfig(): PusherConfig {
  const { PUSHER_KEY: key, PUSHER_HOST: host, PUSHER_PORT: port, PUSHER_TLS: tls, PUSHER_CLUSTER: cluster } = env()
  if (cluster) return { kind: 'pusher', key, cluster }
  return { kind: 'gateway', key, host: host!, port: port ?? (tls ? 443 : 80), tls }
}

// The answer to pusher-js's channel authorization, byte for byte as it was signed.
export async function authorizeChannel(user: SessionUser, socketId: string, channel: string): Promise<string> {
  const { rows } = await pool().query('SELECT presence.pusher_authorize_channel($1, $2, $3, $4, $5)::text AS body', [
    user.id,
    socketId,
    channel,
    userInfo(user),
    env().PUSHER_KEY
  ])
  return rows[0].body
}

// The answer to pusher-js's signin().
export async function authenticateUser(user: SessionUser, socketId: string): Promise<string> {
  const { rows } = await pool().query('SELECT presence.pusher_authenticate_user($1, $2, $3, $4)::text AS body', [
    user.id,
    socketId,
    userInfo(user),
    env().PUSHER_KEY
  ])
  return rows[0].body
}

// Returns how many members the webhook added and removed.
export async function applyWebhook(key: string, signature: string, body: string): Promise<number> {
  const { rows } = await pool().query('SELECT presence.pusher_apply_webhook($1, $2, $3) AS changed', [
    key,
    signature,
    body
  ])
  return rows[0].changed
}

// The HTTP status for a request that the database refused; null if that was not
// the request's fault. 403: not this user's channel, a room that is full, a
// wrong signature. 400: a value out of its limits, a body that is no JSON.
export function refusalStatus(error: unknown): 400 | 403 | null {
  if (!(error instanceof DatabaseError)) return null
  // 42501 too, but a grant that the app lacks.
  if (error.routine === 'aclcheck_error') return null
  if (error.code === '42501') return 403
  return ['22003', '22004', '22021', '22023', '22P02'].includes(error.code ?? '') ? 400 : null
}

export function refusal(error: unknown): Response {
  const status = refusalStatus(error)
  if (status) return new Response((error as DatabaseError).message, { status })
  console.error(error)
  return new Response('the database did not answer as it should', { status: 500 })
}
