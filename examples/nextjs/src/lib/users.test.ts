import { beforeAll, describe, expect, it } from 'vitest'
import { asOwner, membersOf, newBook, signUp, type Person } from '../../test/server/people'
import { toldOf } from '../../test/server/pusher-api'
import { auth } from './auth'
import { presence } from './presence'

let ann: Person
let book: string

beforeAll(async () => {
  book = await newBook()
})

const enter = async (person: Person) => presence.joinRoom(person.id, book, { connectionId: 'tab', ttl: '1 minute' })
const ended = (person: Person) => ({
  channels: [`private-user-${person.id}`],
  name: 'notification',
  data: { type: 'session-ended' }
})

describe('a session that ends', () => {
  it('tells the tabs of the user; the last one takes him out of all rooms', async () => {
    ann = await signUp('Ann')
    const email = (await asOwner('SELECT email FROM "user" WHERE id = $1', [ann.id]))[0].email
    const second = await auth().api.signInEmail({ body: { email, password: 'correct horse' }, returnHeaders: true })
    const cookie = second.headers.getSetCookie().map((line) => line.split(';')[0])
    await enter(ann)
    expect(await toldOf(() => auth().api.signOut({ headers: ann.headers }))).toEqual([ended(ann)])
    expect(await membersOf(book)).toMatchObject([{ user_id: ann.id }])
    await toldOf(() => auth().api.signOut({ headers: new Headers({ cookie: cookie.join('; ') }) }))
    expect(await membersOf(book)).toEqual([])
  })
})

describe('a ban', () => {
  it('is for those who may: it ends sessions, presences and sockets, and lasts', async () => {
    const [eve, mallory] = [await signUp('Eve'), await signUp('Mallory')]
    await enter(mallory)
    const ban = { userId: mallory.id, banReason: 'spam' }
    await expect(auth().api.banUser({ body: ban, headers: eve.headers })).rejects.toMatchObject({ status: 'FORBIDDEN' })
    expect(await membersOf(book)).toHaveLength(1)

    await asOwner(`UPDATE "user" SET "role" = 'admin' WHERE id = $1`, [eve.id])
    const told = await toldOf(() => auth().api.banUser({ body: ban, headers: eve.headers }))
    expect(told).toContainEqual({ path: `/apps/1/users/${mallory.id}/terminate_connections` })
    expect(told).toContainEqual(ended(mallory))
    expect(await membersOf(book)).toEqual([])
    expect(await auth().api.getSession({ headers: mallory.headers })).toBeNull()
    const email = (await asOwner('SELECT email FROM "user" WHERE id = $1', [mallory.id]))[0].email
    await expect(auth().api.signInEmail({ body: { email, password: 'correct horse' } })).rejects.toThrow(/banned/i)
  })
})
