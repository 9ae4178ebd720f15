// Around every page: what the browser needs to know of Pusher, and the user's own channel.

import { headers } from 'next/headers'
import type { ReactNode } from 'react'
import { NotificationProvider } from '@/components/notifications/NotificationProvider'
import { pusherConfig } from '@/lib/pusher-config'
import { PUSHER_META } from '@/lib/pusher-meta'
import { currentUser } from '@/lib/session'

export default async function MainLayout({ children }: { children: ReactNode }) {
  const user = await currentUser(await headers())
  return (
    <>
      <meta name={PUSHER_META} content={JSON.stringify(pusherConfig())} />
      {user ? <NotificationProvider userId={user.id}>{children}</NotificationProvider> : children}
    </>
  )
}
