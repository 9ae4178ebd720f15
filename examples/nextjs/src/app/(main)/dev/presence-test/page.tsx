// The presence test page: one book's room, and all that there is to know about
// this tab's connection to it. /dev/presence-test is presence-room-test,
// /dev/presence-test?book=emma another one. layout.tsx says when it is there.

import type { Metadata } from 'next'
import { headers } from 'next/headers'
import { notFound } from 'next/navigation'
import { SignIn } from '@/components/SignIn'
import { findBook, listBooks } from '@/lib/books'
import { env } from '@/lib/env'
import { currentUser } from '@/lib/session'
import { PresenceTest } from './PresenceTest'

const ROOM = 'test'

type Props = { searchParams: Promise<{ book?: string | string[] }> }

export async function generateMetadata({ searchParams }: Props): Promise<Metadata> {
  const book = await wanted(searchParams)
  return { title: book ? `${book.title} · Presence test` : 'Presence test' }
}

export default async function Page({ searchParams }: Props) {
  const user = await currentUser(await headers())
  if (!user) return <SignIn signUp={env().SIGN_UP} quick={env().QUICK_SIGN_UP} />

  const [book, books] = await Promise.all([wanted(searchParams), listBooks()])
  if (!book) notFound()
  return <PresenceTest user={user} book={book} books={books} />
}

async function wanted(searchParams: Props['searchParams']) {
  const { book = ROOM } = await searchParams
  return typeof book === 'string' ? findBook(book) : null
}
