// The books of the app, for pages. What may be read is decided in rooms.ts.

import 'server-only'
import { z } from 'zod'
import { pool } from './db'

const bookRow = z.object({ id: z.string(), title: z.string(), author: z.string() })

export type Book = z.infer<typeof bookRow>

export async function listBooks(): Promise<Book[]> {
  const { rows } = await pool().query('SELECT id, title, author_name AS author FROM book ORDER BY title LIMIT 20')
  return z.array(bookRow).parse(rows)
}
