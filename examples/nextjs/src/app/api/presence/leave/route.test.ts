import { beforeAll, describe, expect, it } from 'vitest'
import { asOwner, membersOf, newBook, signUp, type Person } from '../../../../../test/server/people'
import { POST } from './route'

let ann: Person

beforeAll(async () => {
  ann = await signUp('Ann')
})

// As navigator.sendBeacon sends it: text, with the cookies.
function beacon(body: unknown, headers = ann.headers) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return POST(new Request('http://127.0.0.1:3000/api/presence/leave', { method: 'POST', body: text, headers }))
}

const join = (user: string, book: string, tab: string) =>
  asOwner('SELECT presence.join_room($1, $2, $3)', [user, book, tab])

describe('POST /api/presence/leave', () => {
  it('ends one tab, and the membership with the last one', async () => {
    const book = await newBook()
    await join(ann.id, book, 'one')
    await join(ann.id, book, 'two')
    expect((await beacon({ bookId: book, connectionId: 'one' })).status).toBe(204)
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id, connections: 1 }])
    expect((await beacon({ bookId: book, connectionId: 'two' })).status).toBe(204)
    expect(await membersOf(book)).toEqual([])
  })

  it("leaves other users' tabs alone, whatever they are called", async () => {
    const book = await newBook()
    await join('ben', book, 'one')
    expect((await beacon({ bookId: book, connectionId: 'one', userId: 'ben' })).status).toBe(204)
    expect(await membersOf(book)).toMatchObject([{ user_id: 'ben' }])
  })

  it('answers 401 without a session', async () => {
    const book = await newBook()
    await join(ann.id, book, 'one')
    expect((await beacon({ bookId: book, connectionId: 'one' }, new Headers())).status).toBe(401)
    expect(await membersOf(book)).toHaveLength(1)
  })

  it.each([
    ['no JSON', 'leave'],
    ['no tab, which would be all tabs', { bookId: 'emma', connectionId: null }],
    ['an empty tab', { bookId: 'emma', connectionId: '' }],
    ['a book that can have no room', { bookId: 'a b', connectionId: 'one' }]
  ])('answers 400 for %s', async (_, body) => {
    expect((await beacon(body)).status).toBe(400)
  })
})
