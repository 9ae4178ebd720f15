// The HTTP API, with the official server library and without.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { apiOf, closeAll, enter, newClient, newSocket, twoGateways, until } from './harness.mjs'

let database, gateway, other, api
before(async () => ({ database, gateway, other, api } = await twoGateways()))
after(closeAll)

const raw = (method, path, body, params) => {
  const query = api.createSignedQueryString({ method, path, body, params })
  return fetch(`http://127.0.0.1:${gateway.port}${path}?${query}`, { method, body })
}

test('an event reaches clients of all gateways, but the one that is left out', async () => {
  const [a, b, c] = [await newSocket(gateway), await newSocket(other), await newSocket(other)]
  for (const client of [a, b, c]) await client.subscribe('news')
  const response = await api.trigger('news', 'flash', { text: 'hello ä 🙂' }, { socket_id: c.socket_id })
  assert.equal(await response.text(), '{}')
  for (const client of [a, b]) {
    const event = await client.next('flash')
    assert.deepEqual({ ...event, data: JSON.parse(event.data) }, { event: 'flash', channel: 'news', data: { text: 'hello ä 🙂' } })
  }
  await api.trigger('news', 'last', 'x')
  await c.next('last')
  assert.ok(!c.messages.some(({ event }) => event === 'flash'))
})

test('large events, many channels, batches, in order', async () => {
  const [a, b] = [await newSocket(gateway), await newSocket(other)]
  for (const client of [a, b]) for (const channel of ['one', 'two']) await client.subscribe(channel)
  const large = 'ä'.repeat(5000)
  await api.trigger(['one', 'two'], 'large', large)
  await api.triggerBatch([{ channel: 'one', name: 'first', data: 'x' }, { channel: 'two', name: 'second', data: { y: 1 } }])
  for (const client of [a, b]) {
    await client.next('second')
    assert.deepEqual(client.messages.map(({ event, channel }) => [event, channel]), [['large', 'one'], ['large', 'two'], ['first', 'one']])
    assert.equal(client.messages[0].data, large)
  }
})

test('what is wrong is refused', async () => {
  const post = async (body, path = '/apps/1/events') => (await raw('POST', path, typeof body === 'string' ? body : JSON.stringify(body))).status
  const event = { name: 'e', data: 'd', channel: 'c' }
  assert.equal(await post(event), 200)
  assert.equal(await post('nonsense'), 400)
  assert.equal(await post({ ...event, name: '' }), 400)
  assert.equal(await post({ ...event, name: 'x'.repeat(201) }), 400)
  assert.equal(await post({ ...event, data: { no: 'string' } }), 400)
  assert.equal(await post({ ...event, data: 'x'.repeat(10241) }), 413)
  assert.equal(await post({ ...event, channel: 'a b' }), 400)
  assert.equal(await post({ ...event, channels: [] }), 400)
  assert.equal(await post({ ...event, channels: Array(101).fill('c') }), 400)
  assert.equal(await post({ ...event, socket_id: 'x' }), 400)
  assert.equal(await post({ batch: Array(11).fill(event) }, '/apps/1/batch_events'), 400)
  assert.equal(await post({ batch: [event, {}] }, '/apps/1/batch_events'), 400)
  assert.equal(await post(event, '/apps/1/nothing'), 404)
  assert.equal(await post(event, '/apps/2/events'), 404)
  assert.equal(await post('x'.repeat(600_000)), 413)
})

test('what is not signed is refused', async () => {
  const path = '/apps/1/events'
  const body = JSON.stringify({ name: 'e', data: 'd', channel: 'c' })
  const status = async (query, sent = body) =>
    (await fetch(`http://127.0.0.1:${gateway.port}${path}?${query}`, { method: 'POST', body: sent })).status
  const good = api.createSignedQueryString({ method: 'POST', path, body })
  assert.equal(await status(good), 200)
  assert.equal(await status(''), 401)
  assert.equal(await status(good, body.replace('"d"', '"x"')), 401)
  assert.equal(await status(good.replace(/.$/, (c) => (c === '0' ? '1' : '0'))), 401)
  assert.equal(await status(good + '&extra=1'), 401)
  assert.equal(await status(apiOf(gateway, { secret: 'wrong' }).createSignedQueryString({ method: 'POST', path, body })), 401)
  for (const [offset, expected] of [[-590, 200], [-620, 401], [590, 200], [620, 401]]) {
    const params = { auth_timestamp: Math.floor(Date.now() / 1000) + offset }
    const real = Date.now
    Date.now = () => real() + offset * 1000
    const query = api.createSignedQueryString({ method: 'POST', path, body })
    Date.now = real
    assert.ok(query.includes(`auth_timestamp=${params.auth_timestamp}`.slice(0, -1)))
    assert.equal(await status(query), expected, String(offset))
  }
})

test('channels and users, over all gateways', async () => {
  await enter(newClient(gateway, 'ann'), 'list')
  await enter(newClient(other, 'ben'), 'list')
  const client = await newSocket(gateway)
  await client.subscribe('public-list')
  const get = async (path, params) => (await api.get({ path, params })).json()
  const { channels } = await get('/channels')
  assert.ok(channels['presence-room-list'] && channels['public-list'])
  assert.deepEqual(await get('/channels', { filter_by_prefix: 'presence-room-li', info: 'user_count' }),
    { channels: { 'presence-room-list': { user_count: 2 } } })
  assert.deepEqual(await get('/channels/presence-room-list', { info: 'user_count,subscription_count' }),
    { occupied: true, user_count: 2, subscription_count: 2 })
  assert.deepEqual(await get('/channels/public-list'), { occupied: true })
  assert.deepEqual(await get('/channels/nobody'), { occupied: false })
  assert.deepEqual((await get('/channels/presence-room-list/users')).users.map(({ id }) => id).sort(), ['ann', 'ben'])
  for (const [path, params] of [['/channels/public-list/users'], ['/channels', { info: 'user_count' }], ['/channels/public-list', { info: 'user_count' }]])
    assert.equal((await raw('GET', `/apps/1${path}`, undefined, params)).status, 400, path)
})

test('a user who signed in gets his own events, and can be thrown out, on any gateway', async () => {
  for (const [gw, id] of [[gateway, 'ann'], [other, 'ben']]) { // each his own: the other gateway may hear of the first one's end late
    const client = newClient(gw, id)
    const got = []
    client.signin()
    client.user.bind('hello', (data) => got.push(data))
    await until('signed in', () => client.user.user_data)
    await api.sendToUser(id, 'hello', { n: 1 })
    await until('told', () => got.length)
    await api.terminateUserConnections(id)
    await until('thrown out', () => client.connection.state === 'disconnected' || client.connection.state === 'failed' || client.connection.state === 'unavailable' || client.connection.state === 'connecting')
  }
})

test('client events reach other gateways', async () => {
  const [a, b] = [await newSocket(gateway), await newSocket(other)]
  await a.subscribe('presence-room-bus', { user_id: 'ann' })
  await b.subscribe('presence-room-bus', { user_id: 'ben' })
  a.say('client-wave', { n: 1 }, { channel: 'presence-room-bus' })
  assert.deepEqual(await b.next('client-wave'), { event: 'client-wave', channel: 'presence-room-bus', data: { n: 1 }, user_id: 'ann' })
})

test('a notification that no gateway has signed is no event', async () => {
  const a = await newSocket(gateway)
  await a.subscribe('news')
  const before = await gateway.metric('bus_refused_total')
  const text = JSON.stringify({ kind: 'event', channel: 'news', event: 'forged', data: 'x' })
  for (const payload of ['', 'x', `0123456789abcdef 1 1/1 ${'0'.repeat(64)} ${text}`, `0123456789abcdef 1 2/1 ${'0'.repeat(64)} ${text}`])
    await database.sql('SELECT pg_notify($1, $2)', ['presence_gateway', payload])
  await until('refused', async () => (await gateway.metric('bus_refused_total')) === before + 4)
  assert.ok(!a.messages.some(({ event }) => event === 'forged'))
})

test('health and metrics', async () => {
  assert.equal(await gateway.get('/healthz'), 'ok\n')
  assert.equal(await gateway.metric('database_up'), 1)
  const text = await gateway.get('/metrics')
  for (const line of text.trim().split('\n')) assert.match(line, /^(# (HELP|TYPE) (presence_gateway|process)_\w+ .+|(presence_gateway|process)_\w+({\w+="[^"]+"})? [0-9.e+-]+)$/)
})
