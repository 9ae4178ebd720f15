'use client'

import type { ReactNode } from 'react'
import type { SessionUser } from '@/lib/session'
import { UserMenu } from './UserMenu'
import styles from './Room.module.css'

type Props = { user: SessionUser; onSignOut: () => Promise<void>; tabs: ReactNode; children: ReactNode }

export function Shell({ user, onSignOut, tabs, children }: Props) {
  return (
    <div className={styles.shell}>
      <header className={styles.header}>
        <p className={styles.brand}>Reading rooms</p>
        <UserMenu user={user} onSignOut={onSignOut} />
      </header>
      {tabs}
      <main className={styles.main}>{children}</main>
    </div>
  )
}
