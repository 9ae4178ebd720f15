import { beforeEach, describe, expect, it, vi } from 'vitest'
import { asOwner, membersOf, newBook, signUp } from '../../../test/server/people'
import { toldOf } from '../../../test/server/pusher-api'
import { signedInAs } from '../../../test/server/request'
import { presence } from '@/lib/presence'
import { joinRoom } from './joinRoom'

beforeEach(() => signedInAs(null))

describe('joinRoom', () => {
  it('makes the user of the session a member, and returns his presence', async () => {
    const book = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    const result = await joinRoom(book)
    if (!result.success) throw new Error(result.error)
    expect(result.data).toEqual({
      id: expect.stringMatching(/^\d+$/),
      userId: ann.id,
      bookId: book,
      joinedAt: expect.any(Date),
      lastActiveAt: expect.any(Date),
      leftAt: null,
      isAuthor: false
    })
    expect(Math.abs(result.data.joinedAt.getTime() - Date.now())).toBeLessThan(5_000)
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id, user_info: { name: 'Ann' }, connections: 1 }])
  })

  it('shows a picture of a host that the environment names, and no other', async () => {
    const book = await newBook()
    const shown = 'https://avatars.example.com/a.png'
    for (const image of [shown, 'https://elsewhere.example.com/a.png', 'http://avatars.example.com/a.png']) {
      signedInAs(await signUp('Ann', image))
      await joinRoom(book)
    }
    expect((await membersOf(book)).map(({ user_info }) => user_info.avatarUrl)).toEqual([shown, null, null])
  })

  it('knows the author of the book, and tells him who reads it, once a stay', async () => {
    const mara = signedInAs(await signUp('Mara'))
    const book = await newBook(mara.id)
    expect(await joinRoom(book)).toMatchObject({ data: { isAuthor: true } })
    expect(await membersOf(book)).toMatchObject([{ is_author: true }])

    const ann = signedInAs(await signUp('Ann'))
    const told = await toldOf(async () => {
      await joinRoom(book, { connectionId: 'one' })
      await joinRoom(book, { connectionId: 'two' })
    })
    expect(told).toEqual([
      {
        channels: [`private-user-${mara.id}`],
        name: 'notification',
        data: { type: 'reader-joined', readerName: ann.name, bookId: book, title: 'A Book' }
      }
    ])
  })

  it('takes nothing about the user from the caller', async () => {
    const book = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom(book, { userId: 'eve', isAuthor: true, userInfo: { name: 'Eve' } } as never)
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id, user_info: { name: 'Ann' }, is_author: false }])
  })

  it('gives a tab the lease of what it does, and one connection', async () => {
    const book = await newBook()
    const joins = vi.spyOn(presence, 'joinRoom')
    signedInAs(await signUp('Ann'))
    await joinRoom(book, { connectionId: 'tab' })
    await joinRoom(book, { connectionId: 'tab', lease: 'polling' })
    // null: presence.timeout, 25 seconds
    expect(joins.mock.calls.map(([, , options]) => options?.ttl)).toEqual([null, '75 seconds'])
    expect(await membersOf(book)).toMatchObject([{ connections: 1 }])
  })

  it('looks at the session before it looks at the input', async () => {
    expect(await joinRoom({} as never)).toEqual({ success: false, error: 'unauthorized' })
    signedInAs(await signUp('Ann'))
    expect(await joinRoom({} as never)).toEqual({ success: false, error: 'invalid' })
  })

  it('refuses what is no book, and a book that is gone', async () => {
    signedInAs(await signUp('Ann'))
    expect(await joinRoom('no such book')).toEqual({ success: false, error: 'invalid' })
    expect(await joinRoom('emma', { connectionId: '' })).toEqual({ success: false, error: 'invalid' })
    const book = await newBook()
    await asOwner('DELETE FROM book WHERE id = $1', [book])
    expect(await joinRoom(book)).toEqual({ success: false, error: 'not-found' })
    expect(await membersOf(book)).toEqual([])
  })
})
