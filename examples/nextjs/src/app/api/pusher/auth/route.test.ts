import { createHmac } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { channelOf } from '@/lib/members'
import { asOwner, newBook, setEverywhere, signUp, type Person } from '../../../../../test/server/people'
import { POST } from './route'

let ann: Person
let book: string

beforeAll(async () => {
  ann = await signUp('Ann', 'https://avatars.example.com/ann.png')
  book = await newBook()
})

const sign = (text: string) => `reading-key:${createHmac('sha256', 'reading-secret').update(text).digest('hex')}`

function post(form: Record<string, string> | string, headers = ann.headers) {
  const body = typeof form === 'string' ? form : new URLSearchParams(form).toString()
  const all = new Headers(headers)
  all.set('content-type', 'application/x-www-form-urlencoded')
  return POST(new Request('http://127.0.0.1:3000/api/pusher/auth', { method: 'POST', body, headers: all }))
}

describe('POST /api/pusher/auth', () => {
  it('signs a room for the user of the session, whoever the form names', async () => {
    const channel = channelOf(book)
    const response = await post({
      socket_id: '1.2',
      channel_name: channel,
      user_id: 'eve',
      user_info: '{"name":"Eve"}'
    })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    const answer = await response.json()
    expect(JSON.parse(answer.channel_data)).toEqual({
      user_id: ann.id,
      user_info: { name: 'Ann', avatarUrl: 'https://avatars.example.com/ann.png' }
    })
    expect(answer.auth).toBe(sign(`1.2:${channel}:${answer.channel_data}`))
  })

  it("signs the user's own private channel", async () => {
    const channel = `private-user-${ann.id}`
    const response = await post({ socket_id: '1.2', channel_name: channel })
    expect(await response.json()).toEqual({ auth: sign(`1.2:${channel}`) })
  })

  it('signs signin()', async () => {
    const answer = await (await post({ socket_id: '1.2' })).json()
    expect(JSON.parse(answer.user_data)).toMatchObject({ id: ann.id })
    expect(answer.auth).toBe(sign(`1.2::user::${answer.user_data}`))
  })

  it('answers 401 without a session, and with one that has ended', async () => {
    const form = { socket_id: '1.2', channel_name: channelOf(book) }
    expect((await post(form, new Headers())).status).toBe(401)
    expect((await post(form, new Headers({ cookie: 'better-auth.session_token=forged.signature' }))).status).toBe(401)
    const ben = await signUp('Ben')
    expect((await post(form, ben.headers)).status).toBe(200)
    await asOwner('DELETE FROM "session" WHERE "userId" = $1', [ben.id])
    expect((await post(form, ben.headers)).status).toBe(401)
  })

  it.each([
    ["another user's private channel", 'private-user-someone-else'],
    ['a private channel of no user', 'private-orders'],
    ['a public channel', 'news'],
    ['a presence channel that is no room', 'presence-lobby'],
    ['the room of a book that does not exist', 'presence-room-no-such-book']
  ])('answers 403 for %s', async (_, channel) => {
    expect((await post({ socket_id: '1.2', channel_name: channel })).status).toBe(403)
  })

  it('answers 403 for a room that is full, but not to its members', async () => {
    await asOwner('SELECT presence.join_room($1, $2)', [ann.id, book])
    const form = { socket_id: '1.2', channel_name: channelOf(book) }
    const ben = await signUp('Ben')
    expect((await post(form, ben.headers)).status).toBe(200)
    await setEverywhere('presence.pusher_max_members', '1')
    try {
      const refused = await post(form, ben.headers)
      expect(refused.status).toBe(403)
      expect(await refused.text()).toContain('is full')
      expect((await post(form)).status).toBe(200)
    } finally {
      await setEverywhere('presence.pusher_max_members', '0')
    }
  })

  it.each([
    ['no socket', { channel_name: 'presence-room-emma' }],
    [
      'a socket with a colon, which would let one signature pass for another',
      { socket_id: '1.2:x', channel_name: 'presence-room-emma' }
    ],
    ['nothing', {}],
    ['no form', '{"socket_id":"1.2"}']
  ])('answers 400 for %s', async (_, form) => {
    expect((await post(form as Record<string, string>)).status).toBe(400)
  })

  it('limits what a user may call himself', async () => {
    const loud = await signUp('Ü'.repeat(2_000), 'javascript:alert(1)')
    const answer = await (await post({ socket_id: '1.2', channel_name: channelOf(book) }, loud.headers)).json()
    expect(JSON.parse(answer.channel_data).user_info).toEqual({ name: 'Ü'.repeat(80), avatarUrl: null })
  })

  it('answers 429 to who asks too often', async () => {
    const eve = await signUp('Eve')
    const statuses = new Set<number>()
    for (let asked = 0; asked < 140; asked++)
      statuses.add((await post({ socket_id: '1.2', channel_name: `private-user-${eve.id}` }, eve.headers)).status)
    expect(statuses).toEqual(new Set([200, 429]))
  })
})
