'use server'

import { z } from 'zod'
import { bookId, connectionId, type ActionResult, type RoomPresence } from '@/lib/members'
import { joinRoom as join, leases, type TabOptions } from '@/lib/rooms'
import { asUser } from './action'

const schema = z.object({
  bookId,
  connectionId: connectionId.optional(),
  lease: z.enum(leases).optional()
})

// Makes the user a member of the book's room. A tab that has a connection of its own names it.
export async function joinRoom(bookId: string, tab: TabOptions = {}): Promise<ActionResult<RoomPresence>> {
  return asUser(schema, { ...tab, bookId }, (user, { bookId, ...tab }) => join(user, bookId, tab))
}
