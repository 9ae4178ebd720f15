// A book that is not there is a 404: here, above what is shown while the page loads.

import { notFound } from 'next/navigation'
import type { ReactNode } from 'react'
import { findBook } from '@/lib/books'

type Props = { params: Promise<{ bookId: string }>; children: ReactNode }

export default async function BookLayout({ params, children }: Props) {
  if (!(await findBook(decodeURIComponent((await params).bookId)))) notFound()
  return children
}
