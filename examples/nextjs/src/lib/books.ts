// The books of the app, for pages. What may be read is decided in rooms.ts.

import 'server-only'
import { z } from 'zod'
import { pool } from './db'

// A book, as pages show it.
const bookRow = z.object({ id: z.string(), title: z.string(), author: z.string() })

export type Book = z.infer<typeof bookRow>

const COLUMNS = 'id, title, author_name AS author'

export async function listBooks(): Promise<Book[]> {
  const { rows } = await pool().query(`SELECT ${COLUMNS} FROM book ORDER BY title, id LIMIT 12`)
  return z.array(bookRow).parse(rows)
}

export async function findBook(id: string): Promise<Book | null> {
  const { rows } = await pool().query(`SELECT ${COLUMNS} FROM book WHERE id = $1`, [id])
  return rows[0] ? bookRow.parse(rows[0]) : null
}
