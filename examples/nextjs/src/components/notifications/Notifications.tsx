'use client'

import { useNotificationStore, type Shown } from '@/stores/useNotificationStore'
import { formatTime } from '../presence/format'
import styles from './Notifications.module.css'

const SHOWN = 5

// A bell with what is new; the list opens by a click, and is read then.
export function Notifications() {
  const { entries, unread, markAllRead } = useNotificationStore()
  return (
    <>
      <details className={styles.menu} onToggle={(event) => event.currentTarget.open && markAllRead()}>
        <summary className={styles.bell} aria-label={labelOf(unread)}>
          <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
            <path d="M12 3a6 6 0 0 0-6 6v4l-2 3h16l-2-3V9a6 6 0 0 0-6-6Zm-2 15a2 2 0 0 0 4 0" />
          </svg>
          {unread > 0 && <span className={styles.badge}>{unread}</span>}
        </summary>
        <div className={`card ${styles.list}`}>
          {entries.length === 0 ? (
            <p>Nothing new.</p>
          ) : (
            <ul role="list">
              {entries.slice(0, SHOWN).map(({ id, at, notification }) => (
                <li key={id}>
                  {textOf(notification)} <time dateTime={new Date(at).toISOString()}>{formatTime(at)}</time>
                </li>
              ))}
            </ul>
          )}
        </div>
      </details>
      <span role="status" className="visuallyHidden">
        {entries[0] && unread > 0 ? textOf(entries[0].notification) : ''}
      </span>
    </>
  )
}

const labelOf = (unread: number) => (unread === 0 ? 'Notifications' : `Notifications, ${unread} new`)

const textOf = ({ readerName, title }: Shown) => `${readerName} is reading ${title}`
