// The protocol, frame by frame: what a client may say, and what it is answered.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import net from 'node:net'
import { authorize, authenticate, closeAll, newDatabase, newSocket, sleep, startGateway, until } from './harness.mjs'

let database, gateway
before(async () => {
  database = await newDatabase()
  gateway = await startGateway(database, ['--max-subscriptions', '5'])
})
after(closeAll)

test('a connection is greeted with its id', async () => {
  const a = await newSocket(gateway)
  const b = await newSocket(gateway)
  assert.match(a.socket_id, /^[0-9]+\.[0-9]+$/)
  assert.notEqual(a.socket_id, b.socket_id)
  assert.equal(a.activity_timeout, 12)
})

for (const [path, code] of [
  ['/app/no-such-key?protocol=7', 4001],
  ['/nowhere?protocol=7', 4005],
  ['/app/?protocol=7', 4005],
  ['/app/app-key?protocol=3', 4007],
  ['/app/app-key?protocol=8', 4007],
  ['/app/app-key?protocol=seven', 4006],
  ['/app/app-key?protocol=', 4008],
  ['/app/app-key', 4008]
])
  test(`${path} is refused with ${code}`, async () => {
    const raw = await newSocket(gateway, path, { silent: true })
    assert.equal((await raw.next('pusher:error')).data.code, code)
    assert.equal(await raw.closed(), code)
  })

test('malformed messages are answered, and lose nothing', async () => {
  const raw = await newSocket(gateway)
  for (const text of ['', '{', '[]', '"x"', '{}', '{"event":1}', '{"event":"pusher:subscribe"}', '{"event":"pusher:subscribe","data":{}}',
    '{"event":"pusher:subscribe","data":{"channel":7}}', '{"event":"pusher:subscribe","data":{"channel":"private-a","auth":7}}',
    '{"event":"client-x","channel":7}', '{"event":"no-such-event"}', '\ud800', `{"event":"client-${'x'.repeat(300)}","channel":"a"}`,
    `${'['.repeat(5000)}`]) {
    raw.send(text)
    const error = await raw.next('pusher:error')
    assert.equal(error.data.code, null)
  }
  raw.say('pusher:ping', {})
  await raw.next('pusher:pong')
})

test('a message in fragments is one message', async () => {
  const raw = await newSocket(gateway)
  raw.socket.send('{"event":"pusher', { fin: false })
  raw.socket.send(':ping","pad":"' + 'x'.repeat(5000), { fin: false })
  raw.socket.send('"}', { fin: true })
  await raw.next('pusher:pong')
})

test('a message that is too large is not read, and loses nothing', async () => {
  const raw = await newSocket(gateway)
  for (const send of [
    () => raw.send(`{"event":"pusher:ping","pad":"${'x'.repeat(100_000)}"}`),
    () => {
      for (let i = 0; i < 80; i++) raw.socket.send('x'.repeat(1000), { fin: i === 79 })
    }
  ]) {
    send()
    assert.match((await raw.next('pusher:error')).data.message, /bytes was not read/)
  }
  raw.say('pusher:ping', {})
  await raw.next('pusher:pong')
})

test('one of a megabyte closes the connection, in one piece or in many', async () => {
  const whole = await newSocket(gateway)
  whole.send('x'.repeat(1_100_000))
  assert.equal(await whole.closed(), 1009)
  const parts = await newSocket(gateway)
  for (let i = 0; i < 30; i++) parts.socket.send('x'.repeat(50_000), { fin: false })
  assert.equal(await parts.closed(), 1009)
})

test('public channels need no signature', async () => {
  const raw = await newSocket(gateway)
  assert.equal((await raw.subscribe('news')).channel, 'news')
  raw.say('pusher:subscribe', { channel: 'news' })
  await raw.next('pusher:error')
})

test('private channels need the right one', async () => {
  const raw = await newSocket(gateway)
  const channel = 'private-user-ann'
  const good = authorize(raw.socket_id, channel)
  for (const data of [{ channel }, { channel, auth: '' }, { channel, auth: good.auth.slice(0, -1) + (good.auth.endsWith('0') ? '1' : '0') },
    { channel, auth: good.auth.replace('app-key', 'app-kex') }, { channel: 'private-user-ben', auth: good.auth },
    { channel, auth: authorize('1.2', channel).auth }, { channel, auth: good.auth, channel_data: '{}' }]) {
    raw.say('pusher:subscribe', data)
    const error = await raw.next('pusher:subscription_error')
    assert.equal(JSON.parse(error.data).status, 401)
  }
  raw.say('pusher:subscribe', { channel, ...good })
  await raw.next('pusher_internal:subscription_succeeded')
})

test('channel_data of a private channel is covered by the signature', async () => {
  const raw = await newSocket(gateway)
  await raw.subscribe('private-x', { user_id: 'ann' })
})

test('names that no channel can have are refused', async () => {
  const raw = await newSocket(gateway)
  for (const channel of ['', 'a b', 'a/b', 'ä', 'x'.repeat(165), 'presence-other', 'presence-room-', '#server-to-user-ann']) {
    raw.say('pusher:subscribe', { channel, auth: 'x' })
    await raw.next('pusher:subscription_error')
  }
})

test('subscriptions of a connection are limited', async () => {
  const raw = await newSocket(gateway)
  for (let i = 0; i < 5; i++) await raw.subscribe(`c${i}`)
  raw.say('pusher:subscribe', { channel: 'c6' })
  assert.equal(JSON.parse((await raw.next('pusher:subscription_error')).data).type, 'LimitReached')
  raw.say('pusher:unsubscribe', { channel: 'c0' })
  await raw.subscribe('c6')
})

test('channel_data that the database would not take is refused', async () => {
  const raw = await newSocket(gateway)
  for (const data of [{}, { user_id: '' }, { user_id: 'x'.repeat(129) }, { user_id: 'a\0b' }, { user_id: {} }, { user_id: 'a', user_info: 'x' },
    { user_id: 'a', user_info: { x: 'y'.repeat(1100) } }, { user_id: 'a', user_info: { x: '\0' } }]) {
    raw.say('pusher:subscribe', { channel: 'presence-room-limits', ...authorize(raw.socket_id, 'presence-room-limits', { user_id: 'z', ...{} }) })
    await raw.next('pusher_internal:subscription_succeeded')
    raw.say('pusher:unsubscribe', { channel: 'presence-room-limits' })
    const { auth, channel_data } = signed(raw.socket_id, 'presence-room-limits', data)
    raw.say('pusher:subscribe', { channel: 'presence-room-limits', auth, channel_data })
    assert.equal(JSON.parse((await raw.next('pusher:subscription_error')).data).status, 400, JSON.stringify(data))
  }
})

import { createHmac } from 'node:crypto'
function signed(socketId, channel, data) {
  const channel_data = JSON.stringify(data)
  return { channel_data, auth: `app-key:${createHmac('sha256', 'app-secret').update(`${socketId}:${channel}:${channel_data}`).digest('hex')}` }
}

test('user ids that are numbers, and strange ones', async () => {
  const raw = await newSocket(gateway)
  for (const [given, id] of [[7, '7'], ['ä"\\{}, NULL', 'ä"\\{}, NULL'], ['NULL', 'NULL'], ['🙂'.repeat(128), '🙂'.repeat(128)]]) {
    const channel = 'presence-room-strange'
    raw.say('pusher:subscribe', { channel, ...signed(raw.socket_id, channel, { user_id: given, user_info: { n: id, big: 1 } }) })
    const { presence } = JSON.parse((await raw.next('pusher_internal:subscription_succeeded')).data)
    assert.deepEqual(presence, { count: 1, ids: [id], hash: { [id]: { n: id, big: 1 } } })
    raw.say('pusher:unsubscribe', { channel })
    await until('he left', async () => (await database.members('strange')).length === 0)
  }
})

test('client events go to others on private and presence channels only', async () => {
  const [a, b] = [await newSocket(gateway), await newSocket(gateway)]
  await a.subscribe('private-x')
  await b.subscribe('private-x')
  a.say('client-hello', { n: 1, text: 'ä' }, { channel: 'private-x' })
  assert.deepEqual(await b.next('client-hello'), { event: 'client-hello', channel: 'private-x', data: { n: 1, text: 'ä' } })
  await a.subscribe('presence-room-chat', { user_id: 'ann' })
  await b.subscribe('presence-room-chat', { user_id: 'ben' })
  a.say('client-hello', 'as a string', { channel: 'presence-room-chat' })
  assert.deepEqual(await b.next('client-hello'), { event: 'client-hello', channel: 'presence-room-chat', data: 'as a string', user_id: 'ann' })
  for (const channel of ['news', 'private-y', 'private-encrypted-x']) {
    a.say('client-hello', {}, { channel })
    await a.next('pusher:error')
  }
  a.say('pusher:ping', {})
  await a.next('pusher:pong')
  assert.ok(!a.messages.some(({ event }) => event === 'client-hello'))
})

test('more than ten client events a second are rejected with 4301', async () => {
  const [a, b] = [await newSocket(gateway), await newSocket(gateway)]
  await a.subscribe('private-x')
  await b.subscribe('private-x')
  for (let i = 0; i < 11; i++) a.say('client-n', i, { channel: 'private-x' })
  assert.equal((await a.next('pusher:error')).data.code, 4301)
  a.say('pusher:ping', {})
  await a.next('pusher:pong')
  await until('ten came', () => b.messages.filter(({ event }) => event === 'client-n').length === 10)
})

test('signin, and what only that user gets', async () => {
  const raw = await newSocket(gateway)
  raw.say('pusher:signin', authenticate(raw.socket_id, { id: 'ann', user_info: { name: 'Ann' } }))
  const success = await raw.next('pusher:signin_success')
  assert.equal(JSON.parse(JSON.parse(success.data).user_data).id, 'ann')
  raw.say('pusher:subscribe', { channel: '#server-to-user-ann' })
  await raw.next('pusher_internal:subscription_succeeded')
  raw.say('pusher:subscribe', { channel: '#server-to-user-ben' })
  await raw.next('pusher:subscription_error')
  const bad = await newSocket(gateway)
  bad.say('pusher:signin', { ...authenticate(bad.socket_id, { id: 'ann' }), user_data: '{"id":"ben"}' })
  assert.equal(await bad.closed(), 4009)
})

test('pings of a client are answered, and a silent one is pinged', async () => {
  const quick = await startGateway(database, ['--silence', '2'])
  const live = await newSocket(quick, undefined, { pings: true })
  const mute = await newSocket(quick, undefined, { autoPong: false })
  const modest = await newSocket(quick) // answers the pings of WebSocket only
  const answer = setInterval(() => {
    if (live.messages.some(({ event }) => event === 'pusher:ping')) {
      live.messages.length = 0
      live.say('pusher:pong', {})
    }
  }, 50)
  assert.equal(await mute.closed(), 4201)
  clearInterval(answer)
  assert.equal(live.code, null)
  assert.equal(modest.code, null)
})

test('sockets are limited', async () => {
  const small = await startGateway(database, ['--max-sockets', '2'])
  await newSocket(small)
  const second = await newSocket(small)
  const third = await newSocket(small, undefined, { silent: true })
  assert.equal(await third.closed(), 4100)
  second.socket.close()
  await until('there is room', async () => (await small.metric('sockets')) === 1)
  await newSocket(small)
})

test('a connection that never says what it wants is closed', { timeout: 60_000 }, async () => {
  const idle = net.connect(gateway.port, '127.0.0.1')
  const partial = net.connect(gateway.port, '127.0.0.1')
  let closed = 0
  for (const connection of [idle, partial]) connection.on('close', () => closed++).on('error', () => {}).resume()
  partial.write('GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nX: ')
  await until('both are closed', () => closed === 2, 25_000)
})

test('what is no WebSocket, or nonsense, does no harm', async () => {
  for (const bytes of [Buffer.from('\x16\x03\x01\x02\x00\x01'), Buffer.alloc(10_000, 'A'), Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')]) {
    const connection = net.connect(gateway.port, '127.0.0.1')
    let done = false
    connection.on('data', () => (done = true)).on('close', () => (done = true)).on('error', () => {})
    connection.write(bytes)
    await until('an answer or the end', () => done, 25_000)
    connection.destroy()
  }
  assert.equal(await gateway.get('/healthz'), 'ok\n')
})

test('bodies that come late, or too large, or where none belongs', async () => {
  const head = (method, length) => `${method} /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`
  for (const [method, length, sent] of [['POST', 600_000, 600_000], ['GET', 5000, 5000], ['PUT', 5000, 5000], ['POST', 600_000, 550_000], ['GET', 5000, 100], ['POST', -1, 1000]]) {
    const connection = net.connect(gateway.port, '127.0.0.1')
    let answer = ''
    connection.on('data', (data) => (answer += data)).on('error', () => {})
    if (method === 'POST') await gateway.kill('SIGSTOP') // all of it is there when it is read
    connection.write(head(method, length))
    setTimeout(() => gateway.kill('SIGCONT'), 100)
    for (let at = 0; at < sent; at += 20_000) {
      connection.write('x'.repeat(Math.min(20_000, sent - at)))
      await sleep(2)
    }
    if (sent === length) await until(`an answer to ${method}`, () => /^HTTP\/1.1 4/.test(answer))
    else await sleep(50)
    assert.equal(await gateway.get('/healthz'), 'ok\n')
    connection.destroy()
  }
})
