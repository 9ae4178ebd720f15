'use client'

import type { Book } from '@/lib/books'
import type { ActionError } from '@/lib/members'
import type { SessionUser } from '@/lib/session'
import { bookStyle } from './colour'
import { DegradedNotice } from './presence/DegradedNotice'
import { MemberList } from './presence/MemberList'
import { ReaderCount } from './presence/ReaderCount'
import { RefusedNotice } from './presence/RefusedNotice'
import styles from './Room.module.css'

type Props = { user: SessionUser; book: Book; inRoom: boolean; error: ActionError | null; onToggle: () => void }

// A book, and who is reading it.
export function Room({ user, book, inRoom, error, onToggle }: Props) {
  return (
    <section className={`card ${styles.room}`} aria-labelledby="title">
      <div className={styles.book}>
        <div className={styles.cover} style={bookStyle(book.id)} aria-hidden="true">
          <span>{book.title}</span>
        </div>
        <div className={styles.about}>
          <h1 id="title" className={styles.title}>
            {book.title}
          </h1>
          <p className={styles.author}>{book.author}</p>
          <ReaderCount inRoom={inRoom && !error} />
        </div>
        <button type="button" className={inRoom ? 'button buttonQuiet' : 'button'} onClick={onToggle}>
          {inRoom ? 'Leave' : 'Join'}
        </button>
      </div>
      <DegradedNotice />
      {error && <RefusedNotice error={error} />}
      {inRoom && !error && <MemberList me={user.id} />}
      {!inRoom && !error && <p className={styles.empty}>Join to see who is reading with you.</p>}
    </section>
  )
}
