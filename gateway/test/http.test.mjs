// HTTP as strangers speak it: what is refused, and when.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { apiOf, closeAll, dial, newDatabase, newSocket, residentMb, sleep, slowness, startGateway, until } from './harness.mjs'

let database, gateway, api
before(async () => {
  database = await newDatabase()
  gateway = await startGateway(database)
  api = apiOf(gateway)
})
after(closeAll)

const signed = (method, path, body, params) => `${path}?${api.createSignedQueryString({ method, path, body, params })}`
const event = JSON.stringify({ name: 'e', data: 'd', channel: 'c' })

test('what is refused is refused at its head: no body is waited for', async () => {
  for (const [head, status] of [
    ['POST /nowhere', 404], ['POST /apps/1/events', 401], ['POST /apps/1/events?auth_key=x', 401], ['POST /apps/2/events', 404],
    ['PUT /apps/1/events', 405], ['DELETE /metrics', 405], ['POST /metrics', 405],
    [`POST ${signed('POST', '/apps/1/events', event)}`, 413]
  ]) {
    const raw = await dial(gateway, `${head} HTTP/1.1\r\nHost: x\r\nContent-Length: 5242880\r\n\r\n`)
    assert.equal(await raw.status(), status, head)
    await until('closed', () => raw.closed || raw.socket.readableEnded)
  }
})

test('300 slow bodies of strangers cost nothing', async () => {
  const memory = residentMb(gateway.child.pid)
  const all = await Promise.all(Array.from({ length: 300 }, () => dial(gateway, 'POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 524288\r\n\r\nx')))
  for (const raw of all) assert.equal(await raw.status(), 404)
  for (const raw of all) raw.write('y'.repeat(1000))
  await sleep(200)
  assert.ok(residentMb(gateway.child.pid) - memory < 10 * slowness, `${residentMb(gateway.child.pid) - memory} MB`)
  all.forEach(({ socket }) => socket.destroy())
})

test('a signed body that comes byte by byte is given up, in total', { timeout: 60_000 }, async () => {
  const raw = await dial(gateway, `POST ${signed('POST', '/apps/1/events', event)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${event.length}\r\n\r\n`)
  const drip = setInterval(() => raw.write('{'), 1500)
  await until('given up', () => raw.closed, 30_000)
  clearInterval(drip)
})

test('a body in chunks is a body', async () => {
  const client = await newSocket(gateway)
  await client.subscribe('c')
  const head = `POST ${signed('POST', '/apps/1/events', event)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
  const chunks = [...event].map((c) => `1;x=y\r\n${c}\r\n`).join('') + '0\r\nX-Trailer: 1\r\n\r\n'
  const raw = await dial(gateway, head + chunks + 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
  await until('both are answered', () => (raw.answer.match(/HTTP\/1\.1 200/g) ?? []).length === 2)
  await client.next('e')
  const parts = await dial(gateway, head)
  for (const c of chunks) {
    parts.write(c)
    if (Math.random() < 0.1) await sleep(1)
  }
  assert.equal(await parts.status(), 200)
  for (const [what, status] of [['zz\r\n', 400], ['\r\n', 400], ['fffffffffffffff\r\n', 400], ['1\r\nxx\r\n', 400]]) {
    const bad = await dial(gateway, head + what)
    assert.equal(await bad.status(), status, what)
  }
})

test('a proxy may pass on the whole address', async () => {
  for (const address of ['http://gateway.example.com', 'https://gateway.example.com:6001', `http://127.0.0.1:${gateway.port}`])
    assert.equal(await (await dial(gateway, `POST ${address}${signed('POST', '/apps/1/events', event)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${event.length}\r\n\r\n${event}`)).status(), 200, address)
  for (const address of ['http://', 'http:///livez', 'http://x', 'http://x?/livez', 'ftp://x/livez', 'http:/livez'])
    assert.equal(await (await dial(gateway, `GET ${address} HTTP/1.1\r\nHost: x\r\n\r\n`)).status(), 400, address)
})

test('what two servers could read in two ways is refused', async () => {
  const post = `POST ${signed('POST', '/apps/1/events', event)} HTTP/1.1\r\nHost: x\r\n`
  for (const [text, status] of [
    [`${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    [`${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`, 400],
    [`${post}Content-Length: +5\r\n\r\n`, 400],
    [`${post}Content-Length: 5x\r\n\r\n`, 400],
    [`${post}Content-Length : 5\r\n\r\n`, 400],
    [`${post}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501],
    ['GET /livez HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n', 400],
    ['GET /livez HTTP/1.1\r\nHost\r\n\r\n', 400],
    ['GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET /li\x01vez HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET /livez%00 HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET /livez%4 HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET livez HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET /livez HTTP/2.0\r\nHost: x\r\n\r\n', 505],
    ['nonsense\r\n\r\n', 400],
    ['\x16\x03\x01\x02\x00', 400]
  ]) {
    const raw = await dial(gateway, text)
    assert.equal(await raw.status(), status, JSON.stringify(text))
    await until('closed', () => raw.answer.includes('keep-alive') || raw.closed || raw.socket.readableEnded)
  }
})

test('5 kB of cookies are fine, over 8 kB are 431', async () => {
  const cookies = await newSocket(gateway, undefined, { headers: { Cookie: `a=${'x'.repeat(5000)}` } })
  assert.ok(cookies.socket_id)
  const raw = await dial(gateway, `GET /livez HTTP/1.1\r\nHost: x\r\nCookie: ${'x'.repeat(9000)}\r\n\r\n`)
  assert.equal(await raw.status(), 431)
  const many = await dial(gateway, `GET /livez HTTP/1.1\r\n${'X: y\r\n'.repeat(200)}\r\n`)
  assert.equal(await many.status(), 431)
})

test('HEAD, OPTIONS and CORS', async () => {
  const url = `http://127.0.0.1:${gateway.port}`
  const head = await fetch(`${url}/livez`, { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '3', ''])
  const options = await fetch(`${url}/apps/1/events`, { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' } })
  assert.equal(options.status, 204)
  assert.match(options.headers.get('access-control-allow-methods'), /POST/)
  assert.equal(options.headers.get('access-control-allow-headers'), 'content-type')
  assert.equal((await fetch(`${url}/livez`, { headers: { origin: 'https://x' } })).headers.get('access-control-allow-origin'), '*')
})

test('the signed path is the received one, byte for byte', async () => {
  for (const user of ['a+b', 'a%2Bb', 'a%20b', 'a%2fb', '%C3%A4']) {
    const path = `/apps/1/users/${user}/terminate_connections`
    const raw = await dial(gateway, `POST ${signed('POST', path, '{}')} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`)
    assert.equal(await raw.status(), 200, user)
  }
  const wrong = await dial(gateway, `POST ${signed('POST', '/apps/1/users/a%2Bb/terminate_connections', '{}').replace('%2B', '+')} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`)
  assert.equal(await wrong.status(), 401)
})

test('requests in a row on one connection are answered in their order', async () => {
  const raw = await dial(gateway, Array.from({ length: 50 }, (_, i) => `GET /${i % 2 ? 'livez' : 'nowhere'} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  await until('all are answered', () => (raw.answer.match(/HTTP\/1\.1/g) ?? []).length === 50)
  assert.deepEqual(raw.answer.match(/HTTP\/1\.1 \d+/g).map((line) => Number(line.slice(9))), Array.from({ length: 50 }, (_, i) => (i % 2 ? 200 : 404)))
})

test('a client that expects to be told to go on is', async () => {
  const raw = await dial(gateway, `POST ${signed('POST', '/apps/1/events', event)} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${event.length}\r\n\r\n`)
  await until('continue', () => raw.answer.startsWith('HTTP/1.1 100'))
  raw.write(event)
  await until('answered', () => raw.answer.includes('HTTP/1.1 200'))
})

test('a WebSocket needs its headers, and frames of clients are masked', async () => {
  const upgrade = (more) => `GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n${more}\r\n`
  const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
  assert.equal(await (await dial(gateway, upgrade(key))).status(), 426)
  assert.equal(await (await dial(gateway, upgrade('Sec-WebSocket-Version: 13\r\n'))).status(), 400)
  assert.equal(await (await dial(gateway, upgrade(`${key}Sec-WebSocket-Version: 13\r\nContent-Length: 5\r\n`))).status(), 400)
  for (const frame of [[0x81, 0x01, 0x78], [0xc1, 0x80, 0, 0, 0, 0], [0x83, 0x80, 0, 0, 0, 0], [0x89, 0xfe, 0, 126, 0, 0, 0, 0], [0x80, 0x80, 0, 0, 0, 0], [0x09, 0x80, 0, 0, 0, 0]]) {
    const raw = await dial(gateway, upgrade(`${key}Sec-WebSocket-Version: 13\r\n`))
    assert.equal(await raw.status(), 101)
    raw.write(Buffer.from(frame))
    await until('closed', () => raw.closed || raw.socket.readableEnded)
  }
})

test('a path prefix, for the client and for the API', async () => {
  const prefixed = await startGateway(database, ['--path-prefix', '/ws'])
  const client = await newSocket(prefixed, '/ws/app/app-key?protocol=7', { silent: true })
  await client.next('pusher:connection_established')
  client.say('pusher:subscribe', { channel: 'c' })
  await client.next('pusher_internal:subscription_succeeded')
  for (const path of [`/ws${signed('POST', '/apps/1/events', event)}`, signed('POST', '/ws/apps/1/events', event)]) {
    const raw = await dial(prefixed, `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${event.length}\r\n\r\n${event}`)
    assert.equal(await raw.status(), 200)
    await client.next('e')
  }
})
