// Accounts for server tests, and the database as its owner sees it.

import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { auth } from '@/lib/auth'
import { pool } from '@/lib/prisma'

export const randomName = (prefix: string) => `${prefix}-${randomBytes(6).toString('hex')}`

export type Person = { id: string; name: string; headers: Headers }

// An account, and the headers of a request with its session.
export async function signUp(name: string, image?: string): Promise<Person> {
  const { headers, response } = await auth().api.signUpEmail({
    body: { name, email: `${randomName('reader')}@example.com`, password: 'correct horse', ...(image && { image }) },
    returnHeaders: true
  })
  const cookies = headers.getSetCookie().map((cookie) => cookie.split(';')[0])
  return { id: response.user.id, name, headers: new Headers({ cookie: cookies.join('; ') }) }
}

// Runs one statement as the owner of the database.
export async function asOwner(sql: string, values: unknown[] = []) {
  const client = new Client({ connectionString: process.env.TEST_OWNER_URL })
  await client.connect()
  try {
    return (await client.query(sql, values)).rows
  } finally {
    await client.end()
  }
}

const books: string[] = []

// A book of its own for a test, until the end of the file.
export async function newBook(authorId: string | null = null): Promise<string> {
  const id = randomName('book')
  books.push(id)
  await asOwner('INSERT INTO book VALUES ($1, $2, $3, $4)', [id, 'A Book', 'An Author', authorId])
  return id
}

export const deleteBooks = () => asOwner('DELETE FROM book WHERE id = ANY ($1)', [books])

export async function membersOf(book: string) {
  return asOwner('SELECT user_id, user_info, is_author, connections FROM presence.room_members($1)', [book])
}

// On each connection of the pool, as if it were set for the role.
export async function setEverywhere(name: string, value: string): Promise<void> {
  const clients = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()))
  await Promise.all(clients.map((client) => client.query('SELECT set_config($1, $2, false)', [name, value])))
  for (const client of clients) client.release()
}
