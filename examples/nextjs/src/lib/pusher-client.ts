// Pusher, the browser's side: one socket a page, made when it is first needed.
// The same code for a gateway of one's own and for a Pusher account.

import Pusher from 'pusher-js'

export type PusherConfig =
  | { kind: 'gateway'; key: string; host: string; port: number; tls: boolean }
  | { kind: 'pusher'; key: string; cluster: string }

export type { Channel, PresenceChannel } from 'pusher-js'

let client: Pusher | undefined

export function pusherClient(config: PusherConfig): Pusher {
  return (client ??= createClient(config))
}

function createClient(config: PusherConfig): Pusher {
  const authorization = { endpoint: '/api/pusher/auth', transport: 'ajax' } as const
  const options = {
    channelAuthorization: authorization,
    userAuthentication: authorization,
    // A socket that is silent for 20 seconds is asked, and given up 6 seconds later.
    activityTimeout: 20_000,
    pongTimeout: 6_000
  }
  if (config.kind === 'pusher') return new Pusher(config.key, { ...options, cluster: config.cluster })
  return new Pusher(config.key, {
    ...options,
    wsHost: config.host,
    wsPort: config.port,
    wssPort: config.port,
    forceTLS: config.tls,
    enabledTransports: [config.tls ? 'wss' : 'ws'],
    cluster: '' // required by the type, and overruled by wsHost
  })
}
