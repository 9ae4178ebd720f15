import { beforeEach, describe, expect, it } from 'vitest'
import { membersOf, newBook, signUp } from '../../../test/server/people'
import { signedInAs } from '../../../test/server/request'
import { joinRoom } from './joinRoom'
import { leaveRoom } from './leaveRoom'

beforeEach(() => signedInAs(null))

describe('leaveRoom', () => {
  it('ends this tab, and the membership with the last one', async () => {
    const bookId = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom({ bookId, connectionId: 'one', lease: 'connecting' })
    await joinRoom({ bookId, connectionId: 'two', lease: 'connecting' })
    expect(await leaveRoom({ bookId, connectionId: 'one' })).toEqual({ success: true, data: { left: false } })
    expect(await membersOf(bookId)).toMatchObject([{ user_id: ann.id, connections: 1 }])
    expect(await leaveRoom({ bookId, connectionId: 'two' })).toEqual({ success: true, data: { left: true } })
    expect(await membersOf(bookId)).toEqual([])
    expect(await leaveRoom({ bookId, connectionId: 'two' })).toEqual({ success: true, data: { left: false } })
  })

  it("cannot end another user's tab", async () => {
    const bookId = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom({ bookId, connectionId: 'one', lease: 'connecting' })
    signedInAs(await signUp('Eve'))
    await leaveRoom({ bookId, connectionId: 'one', userId: ann.id } as never)
    expect(await membersOf(bookId)).toMatchObject([{ user_id: ann.id }])
  })

  it('refuses the signed-out, and a leave that does not say which tab', async () => {
    expect(await leaveRoom({ bookId: 'emma', connectionId: 'one' })).toEqual({ success: false, error: 'unauthorized' })
    signedInAs(await signUp('Ann'))
    expect(await leaveRoom({ bookId: 'emma' } as never)).toEqual({ success: false, error: 'invalid' })
    expect(await leaveRoom({ bookId: 'emma', connectionId: '' })).toEqual({ success: false, error: 'invalid' })
  })
})
