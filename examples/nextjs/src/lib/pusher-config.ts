// Where the socket server is, as browsers see it: a gateway, or a Pusher account.

import 'server-only'
import { env } from './env'
import type { PusherConfig } from './pusher-client'

export function pusherConfig(): PusherConfig {
  const { PUSHER_KEY: key, PUSHER_HOST: host, PUSHER_PORT: port, PUSHER_TLS: tls, PUSHER_CLUSTER: cluster } = env()
  if (cluster) return { kind: 'pusher', key, cluster }
  return { kind: 'gateway', key, host: host!, port: port ?? (tls ? 443 : 80), tls }
}
