'use client'

import { useCallback, useState } from 'react'
import { BookTabs } from '@/components/BookTabs'
import { ConnectionFacts } from '@/components/presence/ConnectionFacts'
import { DegradedNotice } from '@/components/presence/DegradedNotice'
import { EventLog, useEventLog } from '@/components/presence/EventLog'
import { MemberList } from '@/components/presence/MemberList'
import { ReaderCount } from '@/components/presence/ReaderCount'
import { RefusedNotice } from '@/components/presence/RefusedNotice'
import { UserMenu } from '@/components/UserMenu'
import { hueStyle } from '@/components/hue'
import { usePresenceChannel } from '@/hooks/usePresenceChannel'
import type { Book } from '@/lib/books'
import type { PusherConfig } from '@/lib/pusher-client'
import type { SessionUser } from '@/lib/session'
import styles from './page.module.css'

type Props = { user: SessionUser; book: Book; books: Book[]; pusher: PusherConfig }

export function PresenceTest({ user, book, books, pusher }: Props) {
  const [inRoom, setInRoom] = useState(false)
  const log = useEventLog()
  const { connectionMode, error, leave } = usePresenceChannel(inRoom ? book.id : null, { pusher, onEvent: log.add })

  const toggle = useCallback(() => {
    log.note(inRoom ? 'You left' : 'You are joining')
    setInRoom(!inRoom)
  }, [inRoom, log])

  return (
    <div className={styles.shell}>
      <header className={styles.header}>
        <p className={styles.brand}>Reading rooms</p>
        <UserMenu user={user} onSignOut={leave} />
      </header>

      <BookTabs books={books} current={book.id} />

      <main className={styles.main}>
        <section className={`card ${styles.room}`} aria-labelledby="title">
          <div className={styles.book}>
            <div className={styles.cover} style={hueStyle(book.id)} aria-hidden="true">
              <span>{book.title}</span>
            </div>
            <div className={styles.about}>
              <h1 id="title" className={styles.title}>
                {book.title}
              </h1>
              <p className={styles.author}>{book.author}</p>
              <ReaderCount inRoom={inRoom && !error} />
            </div>
            <button type="button" className={inRoom ? 'button buttonQuiet' : 'button'} onClick={toggle}>
              {inRoom ? 'Leave' : 'Join'}
            </button>
          </div>
          <DegradedNotice degraded={connectionMode === 'polling'} />
          {error && <RefusedNotice error={error} />}
          {inRoom && !error ? (
            <MemberList me={user.id} />
          ) : (
            !error && <p className={styles.empty}>Join to see who is reading with you.</p>
          )}
        </section>

        <aside className={styles.aside}>
          <ConnectionFacts user={user} />
          <EventLog entries={log.entries} />
        </aside>
      </main>
    </div>
  )
}
