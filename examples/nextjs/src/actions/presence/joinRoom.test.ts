import { beforeEach, describe, expect, it } from 'vitest'
import { asOwner, membersOf, newBook, signUp } from '../../../test/server/people'
import { signedInAs } from '../../../test/server/request'
import { joinRoom } from './joinRoom'

beforeEach(() => signedInAs(null))

const leases = (book: string) =>
  asOwner('SELECT connection_id, extract(epoch FROM ttl)::int AS ttl FROM presence.connection WHERE book_id = $1', [
    book
  ])

describe('joinRoom', () => {
  it('makes the user of the session a member, and returns who is there', async () => {
    const book = await newBook()
    const ann = signedInAs(await signUp('Ann', 'https://example.com/a.png'))
    const result = await joinRoom({ bookId: book, connectionId: 'tab', lease: 'connecting' })
    expect(result).toMatchObject({
      success: true,
      data: {
        userId: ann.id,
        authorId: null,
        list: { members: [{ userId: ann.id, name: 'Ann', avatarUrl: 'https://example.com/a.png', isAuthor: false }] }
      }
    })
    if (!result.success) throw new Error()
    expect(Math.abs(result.data.now - Date.now())).toBeLessThan(5_000)
    expect(Math.abs(result.data.list.members![0]!.joinedAt - Date.now())).toBeLessThan(5_000)
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id, connections: 1 }])
  })

  it('knows the author of the book', async () => {
    const mara = signedInAs(await signUp('Mara'))
    const book = await newBook(mara.id)
    const result = await joinRoom({ bookId: book, connectionId: 'tab', lease: 'connecting' })
    expect(result).toMatchObject({ data: { authorId: mara.id, list: { members: [{ isAuthor: true }] } } })
    expect(await membersOf(book)).toMatchObject([{ is_author: true }])
  })

  it('takes nothing about the user from the caller', async () => {
    const book = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    const input = {
      bookId: book,
      connectionId: 'tab',
      lease: 'connecting',
      userId: 'eve',
      isAuthor: true,
      userInfo: { name: 'Eve' }
    }
    await joinRoom(input as never)
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id, user_info: { name: 'Ann' }, is_author: false }])
  })

  it('gives a tab the lease of what it does, and one connection', async () => {
    const book = await newBook()
    signedInAs(await signUp('Ann'))
    await joinRoom({ bookId: book, connectionId: 'tab', lease: 'connecting' })
    expect(await leases(book)).toEqual([{ connection_id: 'tab', ttl: 25 }])
    await joinRoom({ bookId: book, connectionId: 'tab', lease: 'polling' })
    expect(await leases(book)).toEqual([{ connection_id: 'tab', ttl: 75 }])
  })

  it('looks at the session before it looks at the input', async () => {
    expect(await joinRoom({} as never)).toEqual({ success: false, error: 'unauthorized' })
    signedInAs(await signUp('Ann'))
    expect(await joinRoom({} as never)).toEqual({ success: false, error: 'invalid' })
  })

  it('refuses what is no book, and a book that is gone', async () => {
    signedInAs(await signUp('Ann'))
    const tab = { connectionId: 'tab', lease: 'connecting' } as const
    expect(await joinRoom({ bookId: 'no such book', ...tab })).toEqual({ success: false, error: 'invalid' })
    const book = await newBook()
    await asOwner('DELETE FROM book WHERE id = $1', [book])
    expect(await joinRoom({ bookId: book, ...tab })).toEqual({ success: false, error: 'not-found' })
    expect(await membersOf(book)).toEqual([])
  })
})
