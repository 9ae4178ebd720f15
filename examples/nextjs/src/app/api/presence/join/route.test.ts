import { describe, expect, it } from 'vitest'
import { membersOf, newBook, signUp } from '../../../../../test/server/people'
import '../../../../../test/server/request'
import { ask } from '../../../../../test/server/routes'
import { POST } from './route'

describe('POST /api/presence/join', () => {
  it('makes the user a member, as joinRoom does, and nobody keeps the answer', async () => {
    const ann = await signUp('Ann')
    const bookId = await newBook()
    const { status, headers, body } = await ask(POST, { bookId, connectionId: 'tab', lease: 'polling' }, ann)
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toMatchObject({ success: true, data: { userId: ann.id, bookId, leftAt: null, isAuthor: false } })
    expect(await membersOf(bookId)).toMatchObject([{ user_id: ann.id }])
  })

  it('refuses', async () => {
    const input = { bookId: 'no-such-book', connectionId: 'tab', lease: 'polling' }
    expect(await ask(POST, input, null)).toMatchObject({ status: 401, body: { error: 'unauthorized' } })
    const ann = await signUp('Ann')
    expect(await ask(POST, input, ann)).toMatchObject({ status: 404, body: { error: 'not-found' } })
    expect(await ask(POST, { ...input, lease: 'forever' }, ann)).toMatchObject({ status: 400 })
  })
})
