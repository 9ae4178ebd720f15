// Channels over all gateways: who is subscribed, counted in the database.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { admin, apiOf, closeAll, enter, newClient, newDatabase, newSocket, sleep, startGateway, twoGateways, until } from './harness.mjs'

let database, gateway, other, api, otherApi
before(async () => {
  ;({ database, gateway, other, api } = await twoGateways(['--linger', '0']))
  otherApi = apiOf(other)
})
after(closeAll)

const getBy = async (client, path, params) => (await client.get({ path, params })).json()
const countBy = async (client, channel) => (await getBy(client, `/channels/${channel}`, { info: 'subscription_count' })).subscription_count
// Of an encrypted channel: that its events are sealed is the clients' business.
async function subscribeEncrypted(socket, channel) {
  const signature = createHmac('sha256', 'app-secret').update(`${socket.socket_id}:${channel}`).digest('hex')
  socket.say('pusher:subscribe', { channel, auth: `app-key:${signature}` })
  await socket.next('pusher_internal:subscription_succeeded')
}
const shares = async (channel) =>
  (await database.sql('SELECT subscriptions FROM presence.gateway_channel WHERE channel = $1 ORDER BY subscriptions', [channel])).rows.map((row) => row.subscriptions)

test('subscriptions of all gateways are added up, by whichever is asked', async () => {
  const sockets = [await newSocket(gateway), await newSocket(other), await newSocket(other)]
  for (const socket of sockets) {
    for (const channel of ['news', 'private-news']) await socket.subscribe(channel)
    await subscribeEncrypted(socket, 'private-encrypted-news')
  }
  for (const channel of ['news', 'private-news', 'private-encrypted-news'])
    for (const client of [api, otherApi]) {
      await until(`3 in ${channel}`, async () => (await countBy(client, channel)) === 3)
      assert.deepEqual(await getBy(client, `/channels/${channel}`), { occupied: true })
    }
  assert.deepEqual(await shares('news'), [1, 2])
  for (const client of [api, otherApi]) {
    const { channels } = await getBy(client, '/channels', { filter_by_prefix: 'private-', info: 'subscription_count' })
    assert.deepEqual(channels, { 'private-news': { subscription_count: 3 }, 'private-encrypted-news': { subscription_count: 3 } })
    assert.deepEqual((await getBy(client, '/channels', { filter_by_prefix: 'new' })).channels, { news: {} })
  }
  // What a gateway has itself it counts at once, whatever the database knows.
  sockets[2].say('pusher:unsubscribe', { channel: 'news' })
  sockets[2].say('pusher:ping', {})
  await sockets[2].next('pusher:pong')
  assert.equal(await countBy(otherApi, 'news'), 2)
  await until('the others know', async () => (await countBy(api, 'news')) === 2)
  sockets[1].socket.terminate()
  sockets[0].say('pusher:unsubscribe', { channel: 'news' })
  for (const client of [api, otherApi]) await until('nobody is left', async () => !(await getBy(client, '/channels/news')).occupied)
  await until('no row is left', async () => (await shares('news')).length === 0)
})

test('a room has its members and their sockets, on whichever gateway', async () => {
  await enter(newClient(gateway, 'ann'), 'sum')
  await enter(newClient(other, 'ann'), 'sum')
  await enter(newClient(other, 'ben'), 'sum')
  for (const client of [api, otherApi]) {
    const info = 'user_count,subscription_count'
    assert.deepEqual(await getBy(client, '/channels/presence-room-sum', { info }), { occupied: true, user_count: 2, subscription_count: 3 })
    assert.deepEqual((await getBy(client, '/channels', { filter_by_prefix: 'presence-room-su', info })).channels,
      { 'presence-room-sum': { user_count: 2, subscription_count: 3 } })
  }
  assert.deepEqual(await shares('presence-room-sum'), [])
})

test('clients that come and go within a second cost one call a second', async () => {
  const socket = await newSocket(gateway)
  await socket.subscribe('toggled')
  await until('reported', async () => (await shares('toggled')).length)
  const before = await gateway.metric('reports_total')
  const start = Date.now()
  for (let i = 0; i < 20; i++) {
    socket.say('pusher:unsubscribe', { channel: 'toggled' })
    await socket.subscribe('toggled')
    await sleep(100)
  }
  const seconds = (Date.now() - start) / 1000
  const reports = (await gateway.metric('reports_total')) - before
  assert.ok(reports <= seconds + 1, `${reports} reports in ${seconds} s`)
  socket.socket.terminate()
})

test('what a dead gateway had goes within its lease', async () => {
  const dying = await startGateway(database)
  const socket = await newSocket(dying)
  await socket.subscribe('orphan')
  await until('counted', async () => (await countBy(api, 'orphan')) === 1)
  await dying.kill()
  assert.equal(await countBy(api, 'orphan'), 1)
  const left = await database.sql("UPDATE presence.gateway AS g SET seen = seen - interval '29 s' FROM presence.gateway_channel AS c WHERE c.gateway = g.id AND channel = 'orphan'")
  assert.equal(left.rowCount, 1)
  await until('it has gone', async () => !(await getBy(api, '/channels/orphan')).occupied)
  assert.equal((await database.sql('SELECT FROM presence.gateway')).rowCount, 2)
})

test('a database that has forgotten all is told all', async () => {
  const sockets = [await newSocket(gateway), await newSocket(other)]
  for (const socket of sockets) await socket.subscribe('kept')
  await until('counted', async () => (await shares('kept')).length === 2)
  await database.sql('TRUNCATE presence.gateway, presence.gateway_channel') // as after a crash
  await until('told again', async () => (await shares('kept')).length === 2)
  await admin('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND query ILIKE $2', [database.name, '%report_channels%'])
  await database.sql('TRUNCATE presence.gateway, presence.gateway_channel')
  await until('and by a connection that is new', async () => (await shares('kept')).length === 2)
  for (const client of [api, otherApi]) await until('2', async () => (await countBy(client, 'kept')) === 2)
})

test('a gateway that stops takes with it what it had', async () => {
  const leaving = await startGateway(database, ['--drain', '1'])
  const socket = await newSocket(leaving)
  await socket.subscribe('left')
  await until('counted', async () => (await shares('left')).length)
  await leaving.stop()
  assert.deepEqual(await shares('left'), [])
})

test('a server of version 0.2: each gateway counts its own', async () => {
  const old = await newDatabase()
  await old.sql("DROP EXTENSION presence; CREATE EXTENSION presence VERSION '0.2'")
  await old.sql("INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('1', 'app-key', 'app-secret')")
  const one = await startGateway(old, [], { conninfo: `host=${process.env.PGHOST} user=postgres dbname=${old.name}` })
  await enter(newClient(one, 'ann'), 'old')
  await (await newSocket(one)).subscribe('news')
  assert.deepEqual((await getBy(apiOf(one), '/channels')).channels, { 'presence-room-old': {}, news: {} })
  assert.equal(await countBy(apiOf(one), 'news'), 1)
  assert.deepEqual(await getBy(apiOf(one), '/channels/presence-room-old', { info: 'user_count' }), { occupied: true, user_count: 1 })
})

test('what is triggered tells of its channels, over all gateways', async () => {
  await enter(newClient(other, 'ann'), 'info')
  await enter(newClient(gateway, 'ann'), 'info')
  const socket = await newSocket(other)
  await socket.subscribe('info')
  await until('counted', async () => (await countBy(api, 'info')) === 1)
  const info = 'user_count,subscription_count'
  const answer = async (response) => (await response).json()
  assert.deepEqual(await answer(api.trigger(['presence-room-info', 'info', 'nobody'], 'e', 'x', { info })), {
    channels: {
      'presence-room-info': { user_count: 1, subscription_count: 2 },
      info: { subscription_count: 1 },
      nobody: { subscription_count: 0 }
    }
  })
  assert.deepEqual(await answer(api.trigger('presence-room-info', 'e', 'x', { info: 'user_count' })),
    { channels: { 'presence-room-info': { user_count: 1 } } })
  const event = { name: 'e', data: 'x' }
  assert.deepEqual(await answer(api.triggerBatch([
    { ...event, channel: 'info', info }, { ...event, channel: 'presence-room-info', info: 'user_count' }, { ...event, channel: 'info' }
  ])), { batch: [{ subscription_count: 1 }, { user_count: 1 }, {}] })
  assert.deepEqual(await answer(api.trigger('info', 'e', 'x')), {})
  assert.deepEqual(await answer(api.triggerBatch([{ ...event, channel: 'info' }])), {})
  await socket.next('e')
})

// The counts that a client of a channel was told, as pusher-js tells them.
function countsOf(gw, channel) {
  const bound = newClient(gw, 'reader').subscribe(channel)
  bound.counts = []
  bound.bind('pusher:subscription_count', ({ subscription_count }) => bound.counts.push(subscription_count))
  return bound
}

test('subscription_count: clients are told, on all gateways, if the app wants it', async () => {
  const silent = countsOf(gateway, 'private-counted')
  await until('counted', async () => (await countBy(otherApi, 'private-counted')) === 1)
  await database.sql('UPDATE presence.pusher_app SET subscription_count = true')
  await until('told at once', () => silent.counts.at(-1) === 1)
  assert.deepEqual(silent.counts, [1])
  for (const channel of ['counted', 'private-counted', 'private-encrypted-counted']) {
    const readers = [channel === 'private-counted' ? silent : await newSocket(gateway), await newSocket(other)]
    const counts = readers.map((reader) => (reader.counts ? () => reader.counts : () =>
      reader.messages.filter(({ event }) => event === 'pusher_internal:subscription_count').map((message) => {
        assert.equal(message.channel, channel)
        return JSON.parse(message.data).subscription_count
      })))
    for (const reader of readers.filter(({ socket }) => socket))
      await (channel.startsWith('private-encrypted-') ? subscribeEncrypted(reader, channel) : reader.subscribe(channel))
    for (const count of counts) await until(`2 in ${channel}`, () => count().at(-1) === 2)
    const third = await newSocket(gateway)
    await (channel.startsWith('private-encrypted-') ? subscribeEncrypted(third, channel) : third.subscribe(channel))
    for (const count of counts) await until(`3 in ${channel}`, () => count().at(-1) === 3)
    third.socket.terminate()
    for (const count of counts) await until(`2 again in ${channel}`, () => count().at(-1) === 2)
  }
  assert.equal(silent.subscriptionCount, 2)
  // Whoever takes a place that is left within a second is told as well.
  const [leaving, coming] = [await newSocket(gateway), await newSocket(gateway)]
  await leaving.subscribe('counted')
  await until('told', () => leaving.messages.some(({ event, data }) => event === 'pusher_internal:subscription_count' && data.includes('3')))
  leaving.say('pusher:unsubscribe', { channel: 'counted' })
  leaving.say('pusher:ping', {})
  await leaving.next('pusher:pong')
  await coming.subscribe('counted')
  await until('told', () => coming.messages.some(({ event, data }) => event === 'pusher_internal:subscription_count' && data.includes('3')))
  const room = await newSocket(gateway)
  await room.subscribe('presence-room-counted', { user_id: 'ann' })
  await sleep(1500)
  assert.ok(!room.messages.some(({ event }) => event === 'pusher_internal:subscription_count'), 'no room')
  await database.sql('UPDATE presence.pusher_app SET subscription_count = false')
})

test('subscription_count: of a large channel every 5 seconds at most', async (t) => {
  await database.sql('UPDATE presence.pusher_app SET subscription_count = true')
  const reader = await newSocket(gateway)
  const told = []
  reader.socket.on('message', (text) => {
    const { event, data } = JSON.parse(text)
    if (event === 'pusher_internal:subscription_count') told.push({ n: JSON.parse(data).subscription_count, at: Date.now() })
  })
  await reader.subscribe('large')
  const sockets = []
  for (let i = 0; i < 130; i++) {
    sockets.push(await newSocket(i % 2 ? gateway : other))
    await sockets[i].subscribe('large')
  }
  await until('over 100', () => told.some(({ n }) => n > 100))
  const end = Date.now() + 4000
  while (Date.now() < end) {
    const socket = await newSocket(other)
    await socket.subscribe('large')
    sockets.push(socket)
    await sleep(200)
  }
  await until('the last is told', () => told.at(-1).n === sockets.length + 1)
  const large = told.filter(({ n }) => n > 100)
  t.diagnostic(`${told.length} told, of ${sockets.length} changes: ${large.map(({ n }) => n)}`)
  for (let i = 1; i < large.length; i++) assert.ok(large[i].at - large[i - 1].at > 4500, `${large[i].at - large[i - 1].at} ms`)
  await database.sql('UPDATE presence.pusher_app SET subscription_count = false')
})
