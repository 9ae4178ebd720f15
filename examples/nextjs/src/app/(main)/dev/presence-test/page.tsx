// The presence test page: one book's room, and all that there is to know about
// this tab's connection to it. /dev/presence-test?book=emma

import type { Metadata } from 'next'
import { headers } from 'next/headers'
import { notFound } from 'next/navigation'
import { SignIn } from '@/components/SignIn'
import { findBook, listBooks } from '@/lib/books'
import { env } from '@/lib/env'
import { pusherConfig } from '@/lib/pusher-server'
import { currentUser } from '@/lib/session'
import { PresenceTest } from './PresenceTest'

export const metadata: Metadata = { title: 'Presence test' }

type Props = { searchParams: Promise<{ book?: string | string[] }> }

export default async function Page({ searchParams }: Props) {
  const user = await currentUser(await headers())
  if (!user) return <SignIn quick={env().QUICK_SIGN_UP} />

  const { book: wanted } = await searchParams
  const books = await listBooks()
  const book = typeof wanted === 'string' ? await findBook(wanted) : books[0]
  if (!book) notFound()
  // By key: another book is another room, with a log of its own.
  return <PresenceTest key={book.id} user={user} book={book} books={books} pusher={pusherConfig()} />
}
