import { beforeAll, describe, expect, it } from 'vitest'
import { asOwner, membersOf, newBook, setEverywhere, signUp, type Person } from '../../../../../test/server/people'
import '../../../../../test/server/request'
import { ask } from '../../../../../test/server/routes'
import { POST } from './route'

let ann: Person

beforeAll(async () => {
  ann = await signUp('Ann')
})

const leave = (body: unknown, person: Person | null = ann) => ask(POST, body, person)

const join = (user: string, book: string, tab: string) =>
  asOwner('SELECT presence.join_room($1, $2, $3)', [user, book, tab])

describe('POST /api/presence/leave', () => {
  it('ends one tab, and the membership with the last one', async () => {
    const book = await newBook()
    await join(ann.id, book, 'one')
    await join(ann.id, book, 'two')
    expect((await leave({ bookId: book, connectionId: 'one' })).status).toBe(200)
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id, connections: 1 }])
    expect((await leave({ bookId: book, connectionId: 'two', closing: true })).status).toBe(200)
    expect(await membersOf(book)).toEqual([])
  })

  it('without a tab, the user leaves', async () => {
    const book = await newBook()
    await join(ann.id, book, 'one')
    await join(ann.id, book, 'two')
    expect(await leave({ bookId: book })).toMatchObject({ status: 200, body: { data: { left: true } } })
    expect(await membersOf(book)).toEqual([])
  })

  it('a page that is closed lingers for presence.linger; a leave does not', async () => {
    const book = await newBook()
    await setEverywhere('presence.linger', '1500')
    try {
      await join(ann.id, book, 'one')
      await leave({ bookId: book, connectionId: 'one', closing: true })
      expect(await membersOf(book)).toMatchObject([{ user_id: ann.id }])
      // back by then, as a page that was reloaded is
      await join(ann.id, book, 'two')
      await expect.poll(() => membersOf(book), { timeout: 10_000 }).toMatchObject([{ connections: 1 }])
      expect(
        await asOwner('SELECT count(*)::int AS stays FROM presence.room_presence WHERE book_id = $1', [book])
      ).toEqual([{ stays: 1 }])
      await leave({ bookId: book, connectionId: 'two', closing: true })
      await expect.poll(() => membersOf(book), { timeout: 10_000 }).toEqual([])
      // who has left already does not come back
      await leave({ bookId: book, connectionId: 'two', closing: true })
      expect(await membersOf(book)).toEqual([])
    } finally {
      await setEverywhere('presence.linger', '0')
    }
  })

  it("leaves other users' tabs alone, whatever they are called", async () => {
    const book = await newBook()
    await join('ben', book, 'one')
    expect((await leave({ bookId: book, connectionId: 'one', userId: 'ben' })).status).toBe(200)
    expect(await membersOf(book)).toMatchObject([{ user_id: 'ben' }])
  })

  it('answers 401 without a session', async () => {
    const book = await newBook()
    await join(ann.id, book, 'one')
    expect((await leave({ bookId: book, connectionId: 'one' }, null)).status).toBe(401)
    expect(await membersOf(book)).toHaveLength(1)
  })

  it.each([
    ['no JSON', 'leave'],
    ['an empty tab', { bookId: 'emma', connectionId: '' }],
    ['a book that can have no room', { bookId: 'a b', connectionId: 'one' }],
    ['a body that is too large', { bookId: 'emma', connectionId: 'one', more: 'x'.repeat(5_000) }]
  ])('answers 400 for %s', async (_, body) => {
    expect((await leave(body)).status).toBe(400)
  })
})
