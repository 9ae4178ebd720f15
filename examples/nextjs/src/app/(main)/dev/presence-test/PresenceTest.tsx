'use client'

import { BookTabs } from '@/components/BookTabs'
import { ConnectionFacts } from '@/components/presence/ConnectionFacts'
import { EventLog, useEventLog } from '@/components/presence/EventLog'
import { Room } from '@/components/Room'
import styles from '@/components/Room.module.css'
import { Shell } from '@/components/Shell'
import { useRoom } from '@/components/useRoom'
import type { Book } from '@/lib/books'
import type { SessionUser } from '@/lib/session'

export function PresenceTest({ user, book, books }: { user: SessionUser; book: Book; books: Book[] }) {
  const log = useEventLog()
  const { inRoom, error, toggle, close } = useRoom(book.id, { onEvent: log.add, onNote: log.note })
  const tabs = <BookTabs books={books} current={book.id} base="/dev/presence-test?book=" />
  return (
    <Shell user={user} onSignOut={close} tabs={tabs}>
      <Room user={user} book={book} inRoom={inRoom} error={error} onToggle={toggle} />
      <aside className={styles.aside} aria-label="Connection and events">
        <ConnectionFacts user={user} />
        <EventLog entries={log.entries} />
      </aside>
    </Shell>
  )
}
