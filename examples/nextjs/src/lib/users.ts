// What is done to a user as a whole, in all of his rooms and tabs.

import 'server-only'
import { userChannelOf } from './members'
import { NOTIFICATION, type Notification } from './notifications'
import { presence } from './presence'
import { prisma } from './prisma'
import { getPusher } from './pusher-server'

// In all of his tabs. Never fails: whoever does not hear it finds out with a poll.
export async function notifyUser(userId: string, message: Notification): Promise<void> {
  await getPusher()
    .trigger(userChannelOf(userId), NOTIFICATION, message)
    .catch((error: Error) => console.warn(`user ${userId} was not told "${message.type}":`, error.message))
}

// One of his sessions ended, however. His tabs ask whether it was theirs; if it was
// the last, he is in no room any more.
export async function endSession(userId: string): Promise<void> {
  const others = await prisma.session.count({ where: { userId, expiresAt: { gt: new Date() } } })
  if (others === 0) await leaveAll(userId)
  await notifyUser(userId, { type: 'session-ended' })
}

// Out of every room, at once: his presences first, then his sockets, which would
// hold them. His sessions are gone already, so that he can't come back.
export async function endPresence(userId: string): Promise<void> {
  await leaveAll(userId)
  await getPusher()
    .terminateUserConnections(userId)
    .catch((error: Error) => console.error(`the sockets of user ${userId} were not closed:`, error.message))
}

async function leaveAll(userId: string): Promise<void> {
  for (const { bookId } of await presence.userRooms(userId)) await presence.leaveRoom(userId, bookId)
}
