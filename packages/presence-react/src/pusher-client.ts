// In place of the app's @/lib/pusher-client, whose page carries the configuration: here the caller says it.

import type Pusher from 'pusher-js'
import { createPusherClient, type PusherConfig } from './app/lib/pusher-client'

export type { PusherConfig }
export type { PresenceChannel } from 'pusher-js'

let config: PusherConfig | undefined
let client: Pusher | undefined

// Where the socket server is. Once, before a component enters a room.
export function configurePresence(where: PusherConfig): void {
  if (client) throw new Error('configurePresence: the socket server is in use already')
  config = where
}

function configured(): PusherConfig {
  if (!config) throw new Error('configurePresence has not been called')
  return config
}

// Whether a subscription holds the presence: a gateway's does, Pusher's knows no database.
export const socketHolds = () => configured().kind === 'gateway'

// The one socket of the page, for other channels as well.
export function getPusherClient(): Pusher {
  return (client ??= createPusherClient(configured()))
}
