'use client'

import { useState } from 'react'
import { signOut } from '@/lib/auth-client'
import type { SessionUser } from '@/lib/session'
import { tellOtherTabs } from '@/lib/user-events'
import { Notifications } from './notifications/Notifications'
import { Avatar } from './presence/Avatar'
import styles from './UserMenu.module.css'

// onSignOut: leaves rooms while there still is a session to leave with.
export function UserMenu({ user, onSignOut }: { user: SessionUser; onSignOut: () => Promise<void> }) {
  const [busy, setBusy] = useState(false)

  async function leave() {
    setBusy(true)
    try {
      tellOtherTabs({ type: 'signing-out' })
      await onSignOut()
      await signOut()
    } finally {
      // Not a refresh: the socket was this user's, and must go with the page.
      window.location.reload()
    }
  }

  return (
    <div className={styles.menu}>
      <Notifications />
      <Avatar id={user.id} name={user.name} avatarUrl={user.image} size="small" />
      <span className={styles.name}>{user.name}</span>
      <button type="button" className={styles.out} onClick={leave} disabled={busy}>
        Sign out
      </button>
    </div>
  )
}
