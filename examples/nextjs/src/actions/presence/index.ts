export type { ActionError, ActionResult, RoomPresence } from '@/lib/members'
export { getRoomMembers } from './getRoomMembers'
export { joinRoom } from './joinRoom'
export { leaveRoom } from './leaveRoom'
