// All codes of the protocol's page, 4000 to 4302: when each comes, and what pusher-js makes of it.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Pusher from 'pusher-js'
import WebSocket from 'ws'
import { atEnd, authenticate, closeAll, newDatabase, newSocket, startGateway, until } from './harness.mjs'

let database, gateway
before(async () => {
  database = await newDatabase()
  await database.sql(`INSERT INTO presence.pusher_app (app_id, key, secret, require_tls, enabled, max_connections, allowed_origins) VALUES
    ('2', 'tls', 's', true, true, NULL, NULL), ('3', 'disabled', 's', false, false, NULL, NULL), ('4', 'one', 's', false, true, 1, NULL),
    ('5', 'origin', 's', false, true, NULL, '{https://good.example}')`)
  gateway = await startGateway(database, ['--proxies', '127.0.0.1'])
})
after(closeAll)

const connect = (key, options = {}, gw = gateway) => newSocket(gw, `/app/${key}?protocol=7`, { silent: true, ...options })
// The error is told before the connection is closed with the same code.
async function closesWith(raw, code) {
  assert.equal((await raw.next('pusher:error')).data.code, code)
  assert.equal(await raw.closed(), code)
}
const answersWith = async (raw, code) => {
  assert.equal((await raw.next('pusher:error')).data.code, code)
  raw.say('pusher:ping', {})
  await raw.next('pusher:pong')
}

test('4000: the app wants TLS; a proxy tells that it was', async () => {
  await closesWith(await connect('tls'), 4000)
  for (const proto of ['http', 'https, http', 'httpsx', '']) await closesWith(await connect('tls', { headers: { 'X-Forwarded-Proto': proto } }), 4000)
  for (const proto of ['https', 'wss', 'http, https']) await (await connect('tls', { headers: { 'X-Forwarded-Proto': proto } })).next('pusher:connection_established')
  const open = await startGateway(database) // whoever says so is not believed
  await closesWith(await connect('tls', { headers: { 'X-Forwarded-Proto': 'https' } }, open), 4000)
})

test('4000 is not for who comes by TLS', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'codes-'))
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost', '-keyout', `${dir}/key.pem`, '-out', `${dir}/cert.pem`], { stdio: 'ignore' })
  const gw = await startGateway(database, ['--tls-cert', `${dir}/cert.pem`, '--tls-key', `${dir}/key.pem`])
  rmSync(dir, { recursive: true })
  const socket = new WebSocket(`wss://127.0.0.1:${gw.port}/app/tls?protocol=7`, { rejectUnauthorized: false })
  atEnd(() => socket.terminate())
  const [text] = await once(socket, 'message')
  assert.equal(JSON.parse(text).event, 'pusher:connection_established')
})

test('4000 comes and goes without a restart, for who connects anew', async () => {
  const raw = await connect('app-key')
  await raw.next('pusher:connection_established')
  await database.sql("UPDATE presence.pusher_app SET require_tls = true WHERE key = 'app-key'")
  await until('wanted', async () => (await (await connect('app-key')).next('pusher:error', 300).catch(() => null))?.data.code === 4000)
  await database.sql("UPDATE presence.pusher_app SET require_tls = false WHERE key = 'app-key'")
  await until('not wanted', async () => (await connect('app-key')).next('pusher:connection_established', 300).catch(() => null))
  assert.equal(raw.code, null)
})

test('4001: no such app', async () => closesWith(await connect('nobody'), 4001))
test('4003: the app is disabled', async () => closesWith(await connect('disabled'), 4003))
test('4004: the app has as many connections as it may', async () => {
  await (await connect('one')).next('pusher:connection_established')
  await closesWith(await connect('one'), 4004)
})
test('4005: no such path', async () => closesWith(await newSocket(gateway, '/nothing?protocol=7', { silent: true }), 4005))
test('4006: a version that is no number', async () => closesWith(await newSocket(gateway, '/app/app-key?protocol=x', { silent: true }), 4006))
test('4007: a version that is not spoken', async () => closesWith(await newSocket(gateway, '/app/app-key?protocol=4', { silent: true }), 4007))
test('4008: no version', async () => closesWith(await newSocket(gateway, '/app/app-key', { silent: true }), 4008))

test('4009: an origin that is not allowed; a signin that is not valid', async () => {
  await closesWith(await connect('origin', { origin: 'https://evil.example' }), 4009)
  const raw = await newSocket(gateway)
  raw.say('pusher:signin', { ...authenticate(raw.socket_id, { id: 'ann' }), user_data: '{"id":"ben"}' })
  await closesWith(raw, 4009)
})

test('4100: too many clients, or no app is known yet', async () => {
  const small = await startGateway(database, ['--max-sockets', '1'])
  await newSocket(small)
  await closesWith(await connect('app-key', {}, small), 4100)
  const lost = await startGateway(database, [], { ready: false, conninfo: 'host=/nonexistent dbname=x' })
  await closesWith(await connect('app-key', {}, lost), 4100)
})

test('4200: the gateway stops', async () => {
  const stopping = await startGateway(database, ['--drain', '1'])
  const raw = await newSocket(stopping)
  await stopping.kill('SIGTERM')
  await closesWith(raw, 4200)
})

// 4202 is for clients that can't be pinged and were silent for a day: here those are closed with 4201.
test('4201: no pong, which is the end of who can not be pinged as well', async () => {
  const quick = await startGateway(database, ['--silence', '2'])
  await closesWith(await newSocket(quick, undefined, { autoPong: false }), 4201)
})

test('4301: a client event that is too much; 4302: a watchlist that is too long; neither closes', async () => {
  const raw = await newSocket(gateway)
  await raw.subscribe('private-x')
  for (let i = 0; i < 11; i++) raw.say('client-n', i, { channel: 'private-x' })
  await answersWith(raw, 4301)
  raw.say('pusher:signin', authenticate(raw.socket_id, { id: 'ann', watchlist: Array.from({ length: 101 }, (_, n) => `u${n}`) }))
  await answersWith(raw, 4302)
})

test('pusher-js: 4001 ends it, 4100 later again, 4200 at once again', async () => {
  const connectWith = (key, gw) => {
    const client = new Pusher(key, { wsHost: '127.0.0.1', wsPort: gw.port, forceTLS: false, enabledTransports: ['ws'], cluster: 'x' })
    atEnd(() => client.disconnect())
    const it = { client, codes: [], connected: 0 }
    client.connection.bind('error', ({ error }) => error && it.codes.push(error.data.code))
    client.connection.bind('connected', () => it.connected++)
    return it
  }
  const gone = connectWith('nobody', gateway)
  await until('given up', () => gone.codes.includes(4001) && gone.client.connection.state === 'disconnected')
  const small = await startGateway(database, ['--max-sockets', '1'])
  const first = await newSocket(small)
  const waiting = connectWith('app-key', small)
  await until('told to wait', () => waiting.codes.includes(4100))
  assert.equal(waiting.connected, 0)
  first.socket.close()
  await until('let in', () => waiting.connected)
  const stopping = await startGateway(database, ['--drain', '1', '--reuse-port'])
  const moved = connectWith('app-key', stopping)
  await until('connected', () => moved.connected === 1)
  const next = await startGateway(database, ['--reuse-port', '--listen', `127.0.0.1:${stopping.port}`])
  await stopping.kill('SIGTERM')
  await until('connected to the next one', () => moved.connected === 2)
  assert.equal(next.port, stopping.port)
})
