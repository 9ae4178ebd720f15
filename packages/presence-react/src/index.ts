// What a page needs: the hook, the store, and where the socket server is.

export { usePresenceChannel, type PresenceEvent } from '@/hooks/usePresenceChannel'
export {
  usePresenceStore,
  type ConnectionMode,
  type PresenceActions,
  type PresenceState
} from '@/stores/usePresenceStore'
export type { ActionError, Member, RoomPresence } from '@/lib/members'
export { configurePresence, getPusherClient, type PusherConfig } from './pusher-client'
