'use client'

import { BookTabs } from '@/components/BookTabs'
import { Room } from '@/components/Room'
import { Shell } from '@/components/Shell'
import { useRoom } from '@/components/useRoom'
import type { Book } from '@/lib/books'
import type { SessionUser } from '@/lib/session'

export function Reading({ user, book, books }: { user: SessionUser; book: Book; books: Book[] }) {
  const { inRoom, error, toggle, close } = useRoom(book.id)
  return (
    <Shell user={user} onSignOut={close} tabs={<BookTabs books={books} current={book.id} base="/books/" />}>
      <Room user={user} book={book} inRoom={inRoom} error={error} onToggle={toggle} />
    </Shell>
  )
}
