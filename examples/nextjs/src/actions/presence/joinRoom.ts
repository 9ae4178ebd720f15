'use server'

import { z } from 'zod'
import { bookId, connectionId } from '@/lib/members'
import { joinRoom as join, leases, type Joined } from '@/lib/rooms'
import { asUser, type ActionResult } from './action'

const schema = z.object({ bookId, connectionId, lease: z.enum(leases) })

export type JoinRoomInput = z.infer<typeof schema>

// Makes the user a member, or renews this tab's connection, and returns who is there.
export async function joinRoom(input: JoinRoomInput): Promise<ActionResult<Joined>> {
  return asUser(schema, input, (user, { bookId, connectionId, lease }) => join(user, bookId, connectionId, lease))
}
