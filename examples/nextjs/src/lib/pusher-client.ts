// Pusher, the browser's side: one socket a page, made when it is first needed.
// The same code for a gateway of one's own and for a Pusher account.

import Pusher from 'pusher-js'
import { PUSHER_META } from './pusher-meta'

export type PusherConfig =
  | { kind: 'gateway'; key: string; host: string; port: number; tls: boolean }
  | { kind: 'pusher'; key: string; cluster: string }

export type { Channel, PresenceChannel } from 'pusher-js'

export function pusherConfig(): PusherConfig {
  const content = document.querySelector<HTMLMetaElement>(`meta[name="${PUSHER_META}"]`)?.content
  if (!content) throw new Error(`the page has no <meta name="${PUSHER_META}">`)
  return JSON.parse(content) as PusherConfig
}

// Whether a subscription holds the presence: a gateway's does, Pusher's knows no database.
export const socketHolds = () => pusherConfig().kind === 'gateway'

let client: Pusher | undefined

export function getPusherClient(): Pusher {
  return (client ??= createPusherClient(pusherConfig()))
}

type Transport = 'ws' | 'wss'
const WITH_TLS: Transport[] = ['ws', 'wss'] // pusher-js wants both

export function createPusherClient(config: PusherConfig): Pusher {
  const authorization = { endpoint: '/api/pusher/auth', transport: 'ajax' } as const
  const options = {
    channelAuthorization: authorization,
    userAuthentication: authorization,
    // A socket that is silent for 20 seconds is asked, and given up 6 seconds later.
    activityTimeout: 20_000,
    pongTimeout: 6_000
  }
  const pusher = new Pusher(config.key, { ...options, ...addressOf(config) })
  // What pusher-js takes as the end of what is pending.
  for (const state of ['connecting', 'disconnected']) pusher.connection.bind(state, () => forgetCancelled(pusher))
  return pusher
}

function addressOf(config: PusherConfig) {
  if (config.kind === 'pusher') return { cluster: config.cluster, enabledTransports: WITH_TLS }
  return {
    wsHost: config.host,
    wsPort: config.port,
    wssPort: config.port,
    forceTLS: config.tls,
    // Without TLS no attempt with it, which the Content-Security-Policy would refuse.
    enabledTransports: config.tls ? WITH_TLS : (['ws'] as Transport[]),
    cluster: '' // required by the type, and overruled by wsHost
  }
}

// A room that was left while its subscription was pending stays in pusher-js's table, cancelled. Then it would
// be subscribed again with the next socket; and who comes back before that would be cancelled with it.
function forgetCancelled(pusher: Pusher) {
  for (const channel of pusher.allChannels()) if (channel.subscriptionCancelled) pusher.unsubscribe(channel.name)
}
