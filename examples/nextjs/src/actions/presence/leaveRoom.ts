'use server'

import { z } from 'zod'
import { bookId, connectionId } from '@/lib/members'
import { leaveRoom as leave } from '@/lib/rooms'
import { asUser, type ActionResult } from './action'

const schema = z.object({ bookId, connectionId })

export type LeaveRoomInput = z.infer<typeof schema>

// Ends this tab's connection. left: the user had no other and is no longer a member.
export async function leaveRoom(input: LeaveRoomInput): Promise<ActionResult<{ left: boolean }>> {
  return asUser(schema, input, async (user, { bookId, connectionId }) => ({
    left: await leave(user, bookId, connectionId)
  }))
}
