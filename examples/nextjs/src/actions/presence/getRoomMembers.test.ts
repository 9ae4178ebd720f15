import { beforeEach, describe, expect, it } from 'vitest'
import { asOwner, membersOf, newBook, randomName, signUp } from '../../../test/server/people'
import { signedInAs } from '../../../test/server/request'
import { getRoomMembers } from './getRoomMembers'
import { joinRoom } from './joinRoom'

beforeEach(() => signedInAs(null))

describe('getRoomMembers', () => {
  it('returns the members, oldest first, and no list while it is the known one', async () => {
    const bookId = await newBook()
    const tab = { bookId, connectionId: 'tab' }
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom({ ...tab, lease: 'polling' })
    const ben = signedInAs(await signUp('Ben'))
    await joinRoom({ ...tab, lease: 'polling' })

    const first = await getRoomMembers({ ...tab, known: null })
    expect(first).toMatchObject({
      success: true,
      data: {
        joined: true,
        members: [
          { userId: ann.id, name: 'Ann' },
          { userId: ben.id, name: 'Ben' }
        ]
      }
    })
    if (!first.success) throw new Error()
    const { version } = first.data
    expect(await getRoomMembers({ ...tab, known: version })).toEqual({
      success: true,
      data: { joined: true, version, members: null }
    })
    await asOwner('SELECT presence.leave_room($1, $2)', [ann.id, bookId])
    expect(await getRoomMembers({ ...tab, known: version })).toMatchObject({ data: { members: [{ userId: ben.id }] } })
  })

  it('renews the lease', async () => {
    const tab = { bookId: await newBook(), connectionId: 'tab' }
    const ann = signedInAs(await signUp('Ann'))
    await joinRoom({ ...tab, lease: 'polling' })
    const heard = async () =>
      (await asOwner('SELECT last_active_at FROM presence.room_members($1)', [tab.bookId]))[0].last_active_at.getTime()
    const before = await heard()
    await getRoomMembers({ ...tab, known: null })
    expect(await heard()).toBeGreaterThan(before)
    expect(await membersOf(tab.bookId)).toMatchObject([{ user_id: ann.id }])
  })

  it('says that a tab has to join again, and does not join it', async () => {
    const tab = { bookId: await newBook(), connectionId: 'tab' }
    signedInAs(await signUp('Ann'))
    expect(await getRoomMembers({ ...tab, known: null })).toMatchObject({ data: { joined: false, members: [] } })
    expect(await membersOf(tab.bookId)).toEqual([])
  })

  it('reads members without user_info, or with an odd one', async () => {
    const tab = { bookId: await newBook(), connectionId: 'tab' }
    await asOwner(
      `SELECT presence.join_room('a', $1), presence.join_room('b', $1, '', '{"name": 7, "avatarUrl": "u"}')`,
      [tab.bookId]
    )
    signedInAs(await signUp('Ann'))
    const result = await getRoomMembers({ ...tab, known: null })
    if (!result.success) throw new Error(result.error)
    expect(result.data.members!.map(({ name, avatarUrl }) => ({ name, avatarUrl }))).toEqual([
      { name: 'A reader', avatarUrl: null },
      { name: 'A reader', avatarUrl: 'u' }
    ])
  })

  it('shows no list without a session', async () => {
    const tab = { bookId: await newBook(), connectionId: 'tab' }
    await asOwner('SELECT presence.join_room($1, $2)', ['ann', tab.bookId])
    expect(await getRoomMembers({ ...tab, known: null })).toEqual({ success: false, error: 'unauthorized' })
  })

  it.each([
    ['no number', 'abc'],
    ['a number with a space', ' 5'],
    ['a number that is too large', '9999999999999999999'],
    ['a number that JavaScript has rounded', 4190331999141695971]
  ])('refuses a version that is %s', async (_, known) => {
    signedInAs(await signUp('Ann'))
    const input = { bookId: 'emma', connectionId: 'tab', known }
    expect(await getRoomMembers(input as never)).toEqual({ success: false, error: 'invalid' })
  })

  it('shows no list of a book that is gone, even if its room is not', async () => {
    signedInAs(await signUp('Ann'))
    const tab = { bookId: randomName('gone'), connectionId: 'tab' }
    await asOwner('SELECT presence.join_room($1, $2)', ['ben', tab.bookId])
    expect(await getRoomMembers({ ...tab, known: null })).toEqual({ success: false, error: 'not-found' })
  })
})
