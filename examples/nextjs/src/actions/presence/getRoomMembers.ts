'use server'

import { bookId, type ActionResult, type Member } from '@/lib/members'
import { listMembers } from '@/lib/rooms'
import { asUser } from './action'

// Who is there, oldest first. (A tab that polls has /api/presence/poll, which outlives a deploy.)
export async function getRoomMembers(id: string): Promise<ActionResult<Member[]>> {
  return asUser(bookId, id, listMembers)
}
