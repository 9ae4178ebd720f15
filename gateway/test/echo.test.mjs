// Laravel Echo, unmodified: what its documentation says that one does with it, each against a gateway. Its
// own tests use no server. The application's side is Pusher's server library, as Laravel's is.
import { test, before, after, afterEach } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { createRequire } from 'node:module'
import Echo from 'laravel-echo'
import { apiOf, atEnd, closeAll, encryptionMasterKeyBase64, newDatabase, sleep, startGateway, until } from './harness.mjs'

const Pusher = createRequire(import.meta.url)('pusher-js/dist/node/pusher.js')
let gateway, api, laravel
const echoes = []
before(async () => {
  const database = await newDatabase()
  gateway = await startGateway(database, ['--linger', '0'])
  api = apiOf(gateway, { encryptionMasterKeyBase64 })
  laravel = await startLaravel()
})
after(closeAll)
afterEach(() => echoes.splice(0).forEach((echo) => echo.disconnect()))

// /broadcasting/auth and /broadcasting/user-auth, for whoever says who he is as a bearer.
async function startLaravel() {
  const it = { requests: [] }
  const server = http.createServer(async (request, response) => {
    let body = ''
    for await (const data of request) body += data
    const params = new URLSearchParams(body)
    const [socket, channel] = [params.get('socket_id'), params.get('channel_name')]
    const user = /^Bearer (\w+)$/.exec(request.headers.authorization ?? '')?.[1]
    it.requests.push({ path: request.url, csrf: request.headers['x-csrf-token'], user, channel })
    if (!user || channel?.includes('secret-of-others')) return response.writeHead(403).end('{}')
    const info = { user_id: user, user_info: { id: user, name: `Name of ${user}` } }
    const answer = channel
      ? api.authorizeChannel(socket, channel, channel.startsWith('presence-') ? info : undefined)
      : api.authenticateUser(socket, { id: user })
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => server.close())
  it.url = `http://127.0.0.1:${server.address().port}`
  return it
}

// As resources/js/echo.js of Laravel has it.
function newEcho(user, options = {}) {
  const echo = new (Echo.default ?? Echo)({
    broadcaster: 'reverb',
    Pusher,
    key: 'app-key',
    wsHost: '127.0.0.1',
    wsPort: gateway.port,
    wssPort: gateway.port,
    forceTLS: false,
    enabledTransports: ['ws', 'wss'],
    authEndpoint: `${laravel.url}/broadcasting/auth`,
    userAuthentication: { endpoint: `${laravel.url}/broadcasting/user-auth`, headers: {} },
    auth: { headers: {} },
    bearerToken: user,
    csrfToken: 'a token',
    ...options
  })
  echoes.push(echo)
  return echo
}
const subscribed = async (channel) => {
  let is = false
  channel.subscribed(() => (is = true))
  await until('subscribed', () => is || channel.subscription.subscribed)
  return channel
}
const connected = (echo) => until('connected', () => echo.connectionStatus() === 'connected')
// What a channel was told, by a callback of Echo's.
const noted = (bind) => {
  const list = []
  bind((data) => list.push(data)) // pusher-js adds who it is of
  return list
}

test('reverb and pusher connect, with a socket id', async () => {
  for (const echo of [newEcho('ann'), newEcho('ann', { broadcaster: 'pusher', cluster: 'mt1' })]) {
    await connected(echo)
    assert.match(echo.socketId(), /^\d+\.\d+$/)
  }
})

test('onConnectionChange: tells of states, until it is not wanted any more', async () => {
  const echo = newEcho('ann')
  const states = []
  const stop = echo.connector.onConnectionChange((state) => states.push(state))
  await until('connected', () => states.includes('connected'))
  echo.disconnect()
  await until('disconnected', () => states.at(-1) === 'disconnected')
  stop()
  const told = states.length
  echo.connector.pusher.connect()
  await connected(echo)
  assert.equal(states.length, told)
})

test('channel().listen: an event by its class, in the namespace', async () => {
  const channel = await subscribed(newEcho('ann').channel('orders'))
  const orders = noted((note) => channel.listen('OrderShipped', note))
  await api.trigger('orders', 'App\\Events\\OrderShipped', { id: 7 })
  await until('told', () => orders.length)
  assert.deepEqual(orders, [{ id: 7 }])
})

test('listen: a name with a dot before it is as it is; another namespace', async () => {
  const echo = newEcho('ann', { namespace: 'Shop.Events' })
  const channel = await subscribed(echo.channel('names'))
  const [plain, shop] = [noted((note) => channel.listen('.order.shipped', note)), noted((note) => echo.listen('names', 'Shipped', note))]
  await api.trigger('names', 'order.shipped', 1)
  await api.trigger('names', 'Shop\\Events\\Shipped', 2)
  await until('told', () => plain.length && shop.length)
  assert.deepEqual([plain, shop], [[1], [2]])
})

test('listenToAll, stopListeningToAll', async () => {
  const channel = await subscribed(newEcho('ann').channel('all'))
  const all = []
  const note = (name, data) => all.push([name, data])
  channel.listenToAll(note)
  await api.trigger('all', 'App\\Events\\One', 1)
  await api.trigger('all', 'two', 2)
  await until('told', () => all.length === 2)
  assert.deepEqual(all, [['One', 1], ['.two', 2]])
  channel.stopListeningToAll()
  const last = noted((told) => channel.listen('.three', told))
  await api.trigger('all', 'three', 3)
  await until('told', () => last.length)
  assert.equal(all.length, 2)
})

test('stopListening: one callback, or all of an event', async () => {
  const channel = await subscribed(newEcho('ann').channel('stops'))
  const [a, b, end] = [[], [], []]
  const [toA, toB] = [(data) => a.push(data), (data) => b.push(data)]
  channel.listen('.e', toA).listen('.e', toB).listen('.end', (data) => end.push(data))
  const trigger = async (n) => {
    await api.triggerBatch([{ channel: 'stops', name: 'e', data: `${n}` }, { channel: 'stops', name: 'end', data: `${n}` }])
    await until('told', () => end.length === n)
  }
  await trigger(1)
  channel.stopListening('.e', toA)
  await trigger(2)
  channel.stopListening('.e')
  await trigger(3)
  assert.deepEqual([a.length, b.length], [1, 2])
})

test('private: the application is asked, with the bearer and the CSRF token', async () => {
  laravel.requests.length = 0
  const channel = await subscribed(newEcho('ann').private('orders.1'))
  assert.deepEqual(laravel.requests, [{ path: '/broadcasting/auth', csrf: 'a token', user: 'ann', channel: 'private-orders.1' }])
  const told = noted((note) => channel.listen('.e', note))
  await api.trigger('private-orders.1', 'e', 'x')
  await until('told', () => told.length)
})

test('error: a subscription that the application refuses', async () => {
  const errors = noted((note) => newEcho('ann').private('secret-of-others').error(note))
  await until('refused', () => errors.length)
  assert.equal(errors[0].status, 403)
})

test('error: a signature that the gateway refuses', async () => {
  const echo = newEcho('ann', { authorizer: () => ({ authorize: (_, done) => done(null, { auth: 'app-key:0000' }) }) })
  const errors = noted((note) => echo.private('forged').error(note))
  await until('refused', () => errors.length)
  assert.deepEqual([errors[0].type, errors[0].status], ['AuthError', 401])
})

test('whisper, on a private channel; stopListeningForWhisper', async () => {
  const [anns, bens] = await Promise.all([newEcho('ann'), newEcho('ben')].map((echo) => subscribed(echo.private('chat.1'))))
  const heard = []
  const note = (data) => heard.push(data)
  bens.listenForWhisper('typing', note)
  const ended = noted((told) => bens.listenForWhisper('end', told))
  const own = noted((told) => anns.listenForWhisper('typing', told))
  anns.whisper('typing', { name: 'Ann' })
  await until('heard', () => heard.length)
  assert.deepEqual(heard, [{ name: 'Ann' }])
  bens.stopListeningForWhisper('typing', note)
  anns.whisper('typing', { name: 'Ann' })
  anns.whisper('end', {})
  await until('the end', () => ended.length)
  assert.deepEqual([heard.length, own.length], [1, 0])
})

test('encryptedPrivate: an event that the gateway cannot read', async () => {
  const channel = await subscribed(newEcho('ann').encryptedPrivate('diary'))
  const told = noted((note) => channel.listen('.entry', note))
  await api.trigger('private-encrypted-diary', 'entry', { text: 'dear diary' })
  await until('told', () => told.length)
  assert.deepEqual(told, [{ text: 'dear diary' }])
})

test('notification, and stopListeningForNotification', async () => {
  const channel = await subscribed(newEcho('ann').private('App.Models.User.7'))
  const notes = []
  const note = (data) => notes.push(data)
  channel.notification(note)
  const name = 'Illuminate\\Notifications\\Events\\BroadcastNotificationCreated'
  await api.trigger('private-App.Models.User.7', name, { type: 'invoice-paid' })
  await until('told', () => notes.length)
  assert.deepEqual(notes, [{ type: 'invoice-paid' }])
  channel.stopListeningForNotification(note)
  const end = noted((told) => channel.listen('.end', told))
  await api.triggerBatch([{ channel: 'private-App.Models.User.7', name, data: '{}' }, { channel: 'private-App.Models.User.7', name: 'end', data: '1' }])
  await until('the end', () => end.length)
  assert.equal(notes.length, 1)
})

test('toOthers: who did it is not told', async () => {
  const echoes_ = [newEcho('ann'), newEcho('ben')]
  const channels = await Promise.all(echoes_.map((echo) => subscribed(echo.channel('others'))))
  const [anns, bens] = channels.map((channel) => noted((note) => channel.listen('.e', note)))
  await api.trigger('others', 'e', 1, { socket_id: echoes_[0].socketId() }) // X-Socket-ID of the request
  await api.trigger('others', 'e', 2)
  await until('told', () => anns.length && bens.length === 2)
  assert.deepEqual(anns, [2])
})

test('join: here, joining, leaving, whisper', async () => {
  const channel = newEcho('ann').join('room-echo')
  const [here, joining, leaving, whispers] = [
    noted((note) => channel.here(note)), noted((note) => channel.joining(note)), noted((note) => channel.leaving(note)),
    noted((note) => channel.listenForWhisper('typing', note))
  ]
  await until('here', () => here.length)
  const [ann, ben] = ['ann', 'ben'].map((id) => ({ id, name: `Name of ${id}` }))
  assert.deepEqual(here, [[ann]])
  const bens = newEcho('ben')
  const there = bens.join('room-echo')
  const bensHere = noted((note) => there.here(note))
  await until('ben is in', () => bensHere.length && joining.length)
  assert.deepEqual([bensHere, joining], [[[ann, ben]], [ben]])
  there.whisper('typing', { n: 1 })
  await until('he whispers', () => whispers.length)
  assert.deepEqual(whispers, [{ n: 1 }])
  bens.leave('room-echo')
  await until('he left', () => leaving.length)
  assert.deepEqual(leaving, [ben])
})

test('a second tab joins and leaves nobody', async () => {
  const channel = newEcho('ann').join('room-tabs')
  const [joining, leaving] = [noted((note) => channel.joining(note)), noted((note) => channel.leaving(note))]
  await subscribed(channel)
  const second = newEcho('ann')
  await subscribed(second.join('room-tabs'))
  second.leave('room-tabs')
  await subscribed(newEcho('ben').join('room-tabs'))
  await until('ben came', () => joining.length)
  assert.deepEqual([joining.map(({ id }) => id), leaving], [['ben'], []])
})

test('leave, leaveChannel, leaveAllChannels', async () => {
  const echo = newEcho('ann')
  const all = ['multi', 'private-multi', 'private-encrypted-multi', 'presence-room-multi', 'presence-multi', 'one', 'private-two']
  const occupied = async () => Object.keys((await (await api.get({ path: '/channels', params: {} })).json()).channels).filter((name) => all.includes(name)).sort()
  const enter = async () => {
    for (const channel of [echo.channel('multi'), echo.private('multi'), echo.encryptedPrivate('multi'), echo.join('room-multi'), echo.channel('one'), echo.private('two')]) await subscribed(channel)
  }
  await enter()
  assert.equal((await occupied()).length, 6)
  echo.leave('multi')
  await until('left', async () => JSON.stringify(await occupied()) === '["one","presence-room-multi","private-two"]')
  echo.leaveChannel('private-two')
  await until('left', async () => JSON.stringify(await occupied()) === '["one","presence-room-multi"]')
  echo.leaveAllChannels()
  await until('left', async () => (await occupied()).length === 0)
  assert.deepEqual(echo.connector.channels, {})
  await enter() // and back
})

test('signin: an event to the user, on whatever connection', async () => {
  const echo = newEcho('zoe')
  await connected(echo)
  echo.connector.signin()
  const told = noted((note) => echo.connector.pusher.user.bind('greeting', note))
  await until('told', async () => {
    await api.sendToUser('zoe', 'greeting', 'hello')
    await sleep(50)
    return told.length
  })
  assert.equal(told[0], 'hello')
})

test('the connection is lost and back: channels are subscribed again, here tells the list anew', async () => {
  const echo = newEcho('ann')
  const channel = echo.join('room-again')
  const here = noted((note) => channel.here(note))
  const told = noted((note) => echo.channel('news').listen('.e', note))
  await until('here', () => here.length)
  echo.connector.pusher.connection.connection.transport.socket.close() // as a network does
  await until('here again', () => here.length === 2)
  assert.deepEqual(here[1], here[0])
  await until('told', async () => {
    await api.trigger('news', 'e', 1)
    return told.length
  })
})
