// Pusher, the browser's side: one socket a page, made when it is first needed.
// The same code for a gateway of one's own and for a Pusher account.

import Pusher from 'pusher-js'

export type PusherConfig =
  | { kind: 'gateway'; key: string; host: string; port: number; tls: boolean }
  | { kind: 'pusher'; key: string; cluster: string }

type Transport = 'ws' | 'wss'

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
  const pusher = new Pusher(config.key, { ...options, ...addressOf(config) })
  pusher.connection.bind('connecting', () => forgetCancelled(pusher))
  return pusher
}

function addressOf(config: PusherConfig) {
  if (config.kind === 'pusher') return { cluster: config.cluster }
  return {
    wsHost: config.host,
    wsPort: config.port,
    wssPort: config.port,
    forceTLS: config.tls,
    enabledTransports: ['ws', 'wss'] as Transport[], // with TLS pusher-js wants both
    cluster: '' // required by the type, and overruled by wsHost
  }
}

// A room that was left while its subscription was pending stays in pusher-js's table, and would
// be subscribed again with the next socket.
function forgetCancelled(pusher: Pusher) {
  for (const channel of pusher.allChannels()) if (channel.subscriptionCancelled) pusher.unsubscribe(channel.name)
}
