// The books of the app, for pages.

import 'server-only'
import { cache } from 'react'
import { prisma } from './prisma'

// A book, as pages show it.
export type Book = { id: string; title: string; author: string }

const columns = { id: true, title: true, authorName: true } as const
const toBook = ({ id, title, authorName }: { id: string; title: string; authorName: string }): Book => ({
  id,
  title,
  author: authorName
})

export const listBooks = cache(async (): Promise<Book[]> => {
  const books = await prisma.book.findMany({ select: columns, orderBy: [{ title: 'asc' }, { id: 'asc' }], take: 12 })
  return books.map(toBook)
})

export const findBook = cache(async (id: string): Promise<Book | null> => {
  const book = await prisma.book.findUnique({ where: { id }, select: columns })
  return book && toBook(book)
})
