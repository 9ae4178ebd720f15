'use server'

import { z } from 'zod'
import { bookId, connectionId, type ActionResult } from '@/lib/members'
import { leaveRoom as leave, type Left, type TabOptions } from '@/lib/rooms'
import { asUser } from './action'

const schema = z.object({ bookId, connectionId: connectionId.optional() })

// The user leaves the room: all of his tabs. With a connection, only that tab ends.
export async function leaveRoom(
  bookId: string,
  tab: Pick<TabOptions, 'connectionId'> = {}
): Promise<ActionResult<Left>> {
  return asUser(schema, { ...tab, bookId }, (user, { bookId, connectionId }) => leave(user, bookId, connectionId))
}
