// Presence channels that are no rooms of books: as on Pusher, over all gateways, without a history.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { authorize, closeAll, memberIds, newClient, newDatabase, newSocket, startGateway, twoGateways, until } from './harness.mjs'

let database, gateway, other, api
const set = (value, app = '1') => database.sql('UPDATE presence.pusher_app SET presence_channels = $1 WHERE app_id = $2', [value, app])
before(async () => ({ database, gateway, other, api } = await twoGateways()))
after(closeAll)

async function enter(client, name) {
  const channel = client.subscribe(name)
  channel.events = []
  channel.bind_global((event, data) => channel.events.push([event, data]))
  await until(`subscribed to ${name}`, () => channel.subscribed)
  return channel
}
const rows = async () => (await database.sql("SELECT user_id, book_id FROM presence.room_presence WHERE book_id LIKE '%chat-1' ORDER BY user_id")).rows

// Whether a client of that gateway is let in.
async function admits(gw, name = 'presence-chat-0') {
  const raw = await newSocket(gw)
  raw.say('pusher:subscribe', { channel: name, ...authorize(raw.socket_id, name, { user_id: 'ann' }) })
  const answer = await until('an answer', () => raw.messages.find(({ event }) => /subscription/.test(event)))
  raw.socket.close()
  return answer.event === 'pusher_internal:subscription_succeeded'
}

test('refused, unless the app allows them; in force without a restart', async () => {
  assert.equal(await admits(gateway), false)
  for (const value of ['allow', 'refuse', 'allow']) {
    await set(value)
    for (const gw of [gateway, other]) await until(value, async () => (await admits(gw)) === (value === 'allow'), 5000)
  }
})

test('members, client events and events of two gateways, and no row when all are gone', async () => {
  const [ann, ben] = [newClient(gateway, 'ann'), newClient(other, 'ben')]
  const anns = await enter(ann, 'presence-chat-1')
  const bens = await enter(ben, 'presence-chat-1')
  assert.deepEqual(memberIds(bens), ['ann', 'ben'])
  await until('ann knows', () => anns.events.length === 2)
  assert.deepEqual(anns.events[1], ['pusher:member_added', { id: 'ben', info: { name: 'ben' } }]) // and no event of a book's room
  bens.trigger('client-typing', { n: 1 })
  await until('typing', () => anns.events.length === 3)
  await api.trigger('presence-chat-1', 'message', 'hello')
  for (const channel of [anns, bens]) await until('the message', () => channel.events.some(([event, data]) => event === 'message' && data === 'hello'))
  const second = newClient(gateway, 'ben')
  await enter(second, 'presence-chat-1')
  second.disconnect()
  assert.deepEqual(await rows(), [{ user_id: 'ann', book_id: '@1;chat-1' }, { user_id: 'ben', book_id: '@1;chat-1' }])
  ben.unsubscribe('presence-chat-1')
  await until('ben left', () => anns.events.some(([event]) => event === 'pusher:member_removed'))
  assert.deepEqual(memberIds(anns), ['ann'])
  ann.unsubscribe('presence-chat-1')
  await until('nothing is left', async () => (await rows()).length === 0)
})

test('the HTTP API knows them: channels, counts, users', async () => {
  await enter(newClient(gateway, 'ann'), 'presence-chat-2')
  await enter(newClient(other, 'ben'), 'presence-chat-2')
  await enter(newClient(other, 'ben'), 'presence-room-book')
  const get = async (path, params) => (await api.get({ path, params })).json()
  assert.deepEqual(await get('/channels', { filter_by_prefix: 'presence-chat-2', info: 'user_count' }), { channels: { 'presence-chat-2': { user_count: 2 } } })
  assert.deepEqual(Object.keys((await get('/channels', { filter_by_prefix: 'presence-' })).channels).filter((name) => !name.endsWith('-0')).sort(), ['presence-chat-2', 'presence-room-book'])
  assert.deepEqual(await get('/channels/presence-chat-2', { info: 'user_count' }), { occupied: true, user_count: 2 })
  assert.deepEqual((await get('/channels/presence-chat-2/users')).users.map(({ id }) => id).sort(), ['ann', 'ben'])
})

test('two apps have their own, and no channel of a book leads there', async () => {
  await database.sql("INSERT INTO presence.pusher_app (app_id, key, secret, presence_channels) VALUES ('a b;c', 'key-2', 'secret-2', 'allow')")
  const theirs = await until('known', async () => {
    const socket = await newSocket(gateway, '/app/key-2?protocol=7', { silent: true })
    const hello = await socket.next('pusher:connection_established', 300).catch(() => null)
    return hello && Object.assign(socket, JSON.parse(hello.data))
  })
  const channel_data = JSON.stringify({ user_id: 'zoe' })
  const channel = 'presence-chat-3'
  await enter(newClient(gateway, 'ann'), channel)
  theirs.say('pusher:subscribe', { channel, channel_data, auth: `key-2:${createHmac('sha256', 'secret-2').update(`${theirs.socket_id}:${channel}:${channel_data}`).digest('hex')}` })
  assert.deepEqual(JSON.parse((await theirs.next('pusher_internal:subscription_succeeded')).data).presence.ids, ['zoe'])
  assert.equal(await admits(gateway, 'presence-room-@1;chat-3'), false)
  assert.deepEqual(await database.members('@1;chat-3'), ['ann'])
})

test('a gateway that dies takes its members along, within the lease; one that comes back keeps them', async () => {
  const db = await newDatabase({ 'presence.timeout': '4s' })
  await db.sql("UPDATE presence.pusher_app SET presence_channels = 'allow'")
  const [a, b] = [await startGateway(db), await startGateway(db)]
  const anns = await enter(newClient(a, 'ann'), 'presence-chat-4')
  await enter(newClient(b, 'ben', { activityTimeout: 1e6 }), 'presence-chat-4')
  await until('both', () => anns.members.count === 2)
  await db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND datname = current_database()")
  await until('restored', () => anns.events.some(([event]) => event === 'presence:restored'))
  assert.ok(!anns.events.some(([event]) => event === 'pusher:member_removed'))
  await b.kill()
  await until('ben is gone', () => anns.members.count === 1)
  await until('no row of him', async () => (await db.sql('SELECT count(*)::int AS n FROM presence.room_presence')).rows[0].n === 1)
})

test('whose lease ended while the database could not be reached is joined again, though no history tells of him', async () => {
  const db = await newDatabase({ 'presence.timeout': '2s' })
  await db.sql("UPDATE presence.pusher_app SET presence_channels = 'allow'")
  const gw = await startGateway(db)
  const anns = await enter(newClient(gw, 'ann'), 'presence-chat-5')
  await gw.kill('SIGSTOP') // asleep for longer than a lease
  await until('his lease ended', async () => !(await db.members('@1;chat-5')).length)
  await gw.kill('SIGCONT')
  await until('he is back', async () => (await db.members('@1;chat-5')).length === 1)
  assert.ok(anns.subscribed)
  assert.ok(!anns.events.some(([event]) => event === 'pusher:subscription_error'))
})
