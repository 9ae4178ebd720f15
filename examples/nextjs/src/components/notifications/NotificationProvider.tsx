'use client'

// The user's own channel, private-user-{id}: what it says goes to the store, to be
// shown, or to the tab. It signs in too, so that the server can end this user's
// sockets; and it renews the session of who reads for days.

import { useEffect, type ReactNode } from 'react'
import { getSession } from '@/lib/auth-client'
import { userChannelOf } from '@/lib/members'
import { NOTIFICATION } from '@/lib/notifications'
import { getPusherClient } from '@/lib/pusher-client'
import { hearFromServer, onUserEvent } from '@/lib/user-events'
import { useNotificationStore } from '@/stores/useNotificationStore'

const RENEW_EVERY = 3_600_000

export function NotificationProvider({ userId, children }: { userId: string; children: ReactNode }) {
  useEffect(() => subscribe(userId), [userId])
  useEffect(() => {
    void renewSession() // the page itself can't set its cookie
    const timer = setInterval(() => void renewSession(), RENEW_EVERY)
    return () => clearInterval(timer)
  }, [userId])
  return children
}

function subscribe(userId: string): () => void {
  const pusher = getPusherClient()
  pusher.signin()
  const channel = pusher.subscribe(userChannelOf(userId))
  channel.bind(NOTIFICATION, hearFromServer)
  const stop = onUserEvent((event) => {
    if (event.type === 'reader-joined') useNotificationStore.getState().addNotification(event)
    if (event.type === 'session-ended') void renewSession()
  })
  return () => {
    stop()
    channel.unbind(NOTIFICATION, hearFromServer)
    pusher.unsubscribe(channel.name)
    useNotificationStore.getState().clear()
  }
}

// A session that has ended leaves no socket behind that speaks for its user.
async function renewSession(): Promise<void> {
  const { data, error } = await getSession().catch((error: unknown) => ({ data: null, error }))
  if (!data && !error) getPusherClient().disconnect()
}
