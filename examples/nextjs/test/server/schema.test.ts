// The migrations: what better-auth needs, what the app's role may do, and what goes with a user or a book.

import { getMigrations } from 'better-auth/db/migration'
import { describe, expect, it } from 'vitest'
import { auth } from '@/lib/auth'
import { pool } from '@/lib/prisma'
import { asOwner, membersOf, newBook, signUp } from './people'

describe('the tables of better-auth', () => {
  it('are those that the installed version wants', async () => {
    const plan = await getMigrations(auth().options)
    expect({ ...plan, runMigrations: null, compileMigrations: null }).toMatchObject({
      toBeCreated: [],
      toBeAdded: [],
      toBeAddedIndexes: [],
      unsafeChanges: [],
      schemaProblems: []
    })
  })
})

describe('the role of the app', () => {
  it.each([
    ['change a presence', 'UPDATE presence.room_presence SET left_at = now()'],
    ['delete one', 'DELETE FROM presence.room_presence'],
    ['forge one', "INSERT INTO presence.room_presence (user_id, book_id) VALUES ('eve', 'emma')"],
    ['read the secret', 'SELECT FROM presence.pusher_app'],
    ['have it told', 'SELECT FROM presence.pusher_apps()'],
    ['join others in bulk', "SELECT FROM presence.join_rooms('{eve}', '{emma}', NULL, NULL)"],
    ['add books', "INSERT INTO book VALUES ('x', 'x', 'x')"],
    ['make tables', 'CREATE TABLE public.x ()']
  ])('may not %s', async (_, sql) => {
    await expect(pool.query(sql)).rejects.toMatchObject({ code: '42501' })
  })
})

describe('deleting', () => {
  it('a user takes his presence along', async () => {
    const book = await newBook()
    const ann = await signUp('Ann')
    await asOwner('SELECT presence.join_room($1, $2)', [ann.id, book])
    await pool.query('DELETE FROM "user" WHERE "id" = $1', [ann.id])
    expect(await membersOf(book)).toEqual([])
    expect(await asOwner('SELECT FROM presence.room_presence WHERE user_id = $1', [ann.id])).toEqual([])
  })

  it('a book takes its room along', async () => {
    const book = await newBook()
    await asOwner('SELECT presence.join_room($1, $2)', ['ann', book])
    await asOwner('DELETE FROM book WHERE id = $1', [book])
    expect(await asOwner('SELECT FROM presence.room_presence WHERE book_id = $1', [book])).toEqual([])
  })

  it('an author leaves his books', async () => {
    const mara = await signUp('Mara')
    const book = await newBook(mara.id)
    await pool.query('DELETE FROM "user" WHERE "id" = $1', [mara.id])
    expect(await asOwner('SELECT author_id FROM book WHERE id = $1', [book])).toEqual([{ author_id: null }])
  })
})
