import { beforeEach, describe, expect, it } from 'vitest'
import { asOwner, newBook, randomName, signUp } from '../../../test/server/people'
import { signedInAs } from '../../../test/server/request'
import { getRoomMembers } from './getRoomMembers'
import { joinRoom } from './joinRoom'

beforeEach(() => signedInAs(null))

describe('getRoomMembers', () => {
  it('returns the members, oldest first, and joins nobody', async () => {
    const bookId = await newBook()
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom(bookId)
    const ben = signedInAs(await signUp('Ben'))
    expect(await getRoomMembers(bookId)).toMatchObject({ success: true, data: [{ userId: ann.id, name: 'Ann' }] })
    await joinRoom(bookId)
    expect(await getRoomMembers(bookId)).toMatchObject({ data: [{ userId: ann.id }, { userId: ben.id }] })
  })

  it('reads members without user_info, or with an odd one', async () => {
    const book = await newBook()
    await asOwner(
      `SELECT presence.join_room('a', $1), presence.join_room('b', $1, '', '{"name": 7, "avatarUrl": "u"}')`,
      [book]
    )
    signedInAs(await signUp('Ann'))
    const result = await getRoomMembers(book)
    if (!result.success) throw new Error(result.error)
    expect(result.data.map(({ name, avatarUrl }) => ({ name, avatarUrl }))).toEqual([
      { name: 'A reader', avatarUrl: null },
      { name: 'A reader', avatarUrl: 'u' }
    ])
  })

  it('shows no list without a session', async () => {
    const book = await newBook()
    await asOwner('SELECT presence.join_room($1, $2)', ['ann', book])
    expect(await getRoomMembers(book)).toEqual({ success: false, error: 'unauthorized' })
  })

  it('shows no list of a book that is gone, even if its room is not', async () => {
    signedInAs(await signUp('Ann'))
    const book = randomName('gone')
    await asOwner('SELECT presence.join_room($1, $2)', ['ben', book])
    expect(await getRoomMembers(book)).toEqual({ success: false, error: 'not-found' })
    expect(await getRoomMembers('no such book')).toEqual({ success: false, error: 'invalid' })
  })
})
