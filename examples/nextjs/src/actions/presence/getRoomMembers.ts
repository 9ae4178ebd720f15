'use server'

import { z } from 'zod'
import { bookId, connectionId } from '@/lib/members'
import { pollRoom, type Polled } from '@/lib/rooms'
import { asUser, type ActionResult } from './action'

const schema = z.object({
  bookId,
  connectionId,
  // The version of the list that the client has: if it is still that, no list is sent.
  known: z
    .string()
    .regex(/^-?\d{1,19}$/)
    .nullable()
})

export type GetRoomMembersInput = z.infer<typeof schema>

// A poll: renews the lease of this tab's connection, and returns the members. A
// tab that has not joined only reads.
export async function getRoomMembers(input: GetRoomMembersInput): Promise<ActionResult<Polled>> {
  return asUser(schema, input, (user, { bookId, connectionId, known }) => pollRoom(user, bookId, connectionId, known))
}
