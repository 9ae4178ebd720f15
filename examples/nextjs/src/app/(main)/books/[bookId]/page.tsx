// A book, and who is reading it.

import type { Metadata } from 'next'
import { headers } from 'next/headers'
import { notFound } from 'next/navigation'
import { SignIn } from '@/components/SignIn'
import { findBook, listBooks } from '@/lib/books'
import { env } from '@/lib/env'
import { currentUser } from '@/lib/session'
import { Reading } from './Reading'

type Props = { params: Promise<{ bookId: string }> }

const wanted = async (params: Props['params']) => findBook(decodeURIComponent((await params).bookId))

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const book = await wanted(params)
  return { title: book ? `${book.title} by ${book.author}` : 'No such book' }
}

export default async function Page({ params }: Props) {
  const user = await currentUser(await headers())
  if (!user) return <SignIn signUp={env().SIGN_UP} quick={env().QUICK_SIGN_UP} />
  const [book, books] = await Promise.all([wanted(params), listBooks()])
  if (!book) notFound()
  return <Reading user={user} book={book} books={books} />
}
