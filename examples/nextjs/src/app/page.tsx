import { connection } from 'next/server'
import { notFound, redirect } from 'next/navigation'
import { listBooks } from '@/lib/books'
import { env } from '@/lib/env'

export default async function Home() {
  await connection() // books come and go: not at build time
  if (process.env.NODE_ENV === 'development' || env().PRESENCE_TEST_PAGE) redirect('/dev/presence-test')
  const [book] = await listBooks()
  if (!book) notFound()
  redirect(`/books/${encodeURIComponent(book.id)}`)
}
