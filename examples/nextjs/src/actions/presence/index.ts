export type { ActionError, ActionResult } from './action'
export { getRoomMembers } from './getRoomMembers'
export { joinRoom } from './joinRoom'
export { leaveRoom } from './leaveRoom'
