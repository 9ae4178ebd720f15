import { beforeEach, describe, expect, it } from 'vitest'
import { membersOf, newBook, signUp } from '../../../test/server/people'
import { toldOf } from '../../../test/server/pusher-api'
import { signedInAs } from '../../../test/server/request'
import { joinRoom } from './joinRoom'
import { leaveRoom } from './leaveRoom'

beforeEach(() => signedInAs(null))

describe('leaveRoom', () => {
  it('ends all tabs of the user, and tells them', async () => {
    const book = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom(book, { connectionId: 'one' })
    await joinRoom(book, { connectionId: 'two' })
    const told = await toldOf(async () => {
      expect(await leaveRoom(book)).toEqual({ success: true, data: { left: true, at: expect.any(Date) } })
    })
    expect(await membersOf(book)).toEqual([])
    expect(told).toEqual([
      {
        channels: [`private-user-${ann.id}`],
        name: 'notification',
        data: { type: 'room-left', bookId: book, at: expect.any(Number) }
      }
    ])
    expect(await leaveRoom(book)).toMatchObject({ success: true, data: { left: false } })
  })

  it('ends one tab, if it names one, and the membership with the last', async () => {
    const book = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom(book, { connectionId: 'one' })
    await joinRoom(book, { connectionId: 'two' })
    const told = await toldOf(async () => {
      expect(await leaveRoom(book, { connectionId: 'one' })).toMatchObject({ data: { left: false } })
      expect(await membersOf(book)).toMatchObject([{ user_id: ann.id, connections: 1 }])
      expect(await leaveRoom(book, { connectionId: 'two' })).toMatchObject({ data: { left: true } })
    })
    expect(await membersOf(book)).toEqual([])
    expect(told).toEqual([])
  })

  it("cannot end another user's presence", async () => {
    const book = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom(book, { connectionId: 'one' })
    signedInAs(await signUp('Eve'))
    await leaveRoom(book, { connectionId: 'one', userId: ann.id } as never)
    await leaveRoom(book)
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id }])
  })

  it('refuses the signed-out, and a tab without a name', async () => {
    expect(await leaveRoom('emma')).toEqual({ success: false, error: 'unauthorized' })
    signedInAs(await signUp('Ann'))
    expect(await leaveRoom('emma', { connectionId: '' })).toEqual({ success: false, error: 'invalid' })
  })
})
