// In place of the app's server actions: the routes.

import { joinTab, leaveEverywhere } from '@/lib/presence-api'

export const joinRoom = (bookId: string, { connectionId }: { connectionId: string }) =>
  joinTab({ bookId, connectionId })

export const leaveRoom = (bookId: string) => leaveEverywhere(bookId)
