// What the tests share: databases, gateways, clients, and waiting for a state.
import { spawn, execFileSync } from 'node:child_process'
import { createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import PusherServer from 'pusher'
import Pusher from 'pusher-js'
import WebSocket from 'ws'

export const slowness = Number(process.env.SLOWNESS ?? 1) // of a gateway that is watched
const patience = 60_000 * slowness // ms: what has no answer by then has none
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// Waits until the function returns something true, and returns it.
export async function until(what, check, ms = 30_000) {
  const end = Date.now() + ms * slowness
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > end) throw new Error(`timed out: ${what}`)
    await sleep(10)
  }
}

const closers = []
export const atEnd = (close) => closers.push(close)

// All of them, whatever becomes of one: what is left open would keep the test's process for ever.
export async function close() {
  const problems = []
  while (closers.length) {
    try {
      await closers.pop()()
    } catch (problem) {
      problems.push(problem)
    }
  }
  if (problems.length) throw problems[0]
}
export async function closeAll() {
  try {
    await close()
  } finally {
    // pusher-js keeps timers of half a minute for what it was thrown out of.
    setTimeout(() => process.exit(), 500).unref()
  }
}

// A directory that is there until the end.
export function ownDirectory(prefix) {
  const directory = mkdtempSync(join(tmpdir(), prefix))
  atEnd(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

// PostgreSQL

export function pgCtl(...args) {
  const command = [...process.env.PG_CTL.split(' '), ...args]
  if (process.getuid() === 0) command.unshift('runuser', '-u', process.env.SERVER_USER, '--')
  execFileSync(command[0], command.slice(1), { stdio: 'ignore', cwd: '/' })
}

export const postmasterPid = async () =>
  Number((await admin('SELECT pg_read_file(\'postmaster.pid\') AS file')).rows[0].file.split('\n')[0])

async function query(database, text, values) {
  const client = new pg.Client({ database, query_timeout: patience, connectionTimeoutMillis: patience })
  client.on('error', () => {})
  await client.connect()
  try {
    return await client.query(text, values)
  } finally {
    await client.end().catch(() => {})
  }
}
export const admin = (text, values) => query('postgres', text, values)

// A role of the cluster, which all files share: another one may be making it at this moment.
export const ensureRole = (name) =>
  admin(`DO $$ BEGIN CREATE ROLE ${name} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)

// A database with the extension and one app, and the role "gateway", which is no superuser.
export async function newDatabase(settings = {}) {
  const name = `t${randomUUID().slice(0, 8)}`
  await admin(`CREATE DATABASE ${name}`)
  for (const [key, value] of Object.entries(settings)) await admin(`ALTER DATABASE ${name} SET ${key} = '${value}'`)
  await ensureRole('gateway')
  const sql = (text, values) => query(name, text, values)
  await sql('CREATE EXTENSION presence')
  await sql("SELECT presence.grant_gateway('gateway')")
  await sql("INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('1', 'app-key', 'app-secret')")
  const members = async (book) =>
    (await sql('SELECT user_id FROM presence.room_members($1) ORDER BY user_id', [book])).rows.map((row) => row.user_id)
  // An event as the database itself would send it; or with the key of another one.
  const notify = async (event, signer = sql) => {
    const head = JSON.stringify(event).slice(0, -1)
    const hasKey = (await signer("SELECT to_regprocedure('presence.event_key()') IS NOT NULL AS ok")).rows[0].ok
    const mac = hasKey ? createHmac('sha256', (await signer('SELECT presence.event_key() AS key')).rows[0].key).update(head).digest('hex').slice(0, 32) : ''
    await sql("SELECT pg_notify('presence', $1)", [`${head}${hasKey ? `,"mac":"${mac}"` : ''}}`])
  }
  return { name, sql, members, notify }
}

// Rooms spread over nodes, by a catalogue that looks like that of Citus: shard 0 has those whose hash is not
// negative ("here"), shard 1 the others ("there"). This is the node of the number local; each shard is on the one of its.
export async function spreadRooms({ sql }, local, shards) {
  await sql(`SET allow_system_table_mods = on;
    CREATE TABLE pg_catalog.pg_dist_local_group AS SELECT ${local} AS groupid;
    CREATE TABLE pg_catalog.pg_dist_node AS SELECT n AS groupid, 'node' || n AS nodename, 5432 AS nodeport, 'primary' AS noderole FROM generate_series(0, 2) AS n;
    CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint, shardminvalue text, shardmaxvalue text);
    CREATE TABLE pg_catalog.pg_dist_placement (shardid bigint, groupid integer);
    INSERT INTO pg_dist_shard VALUES ('presence.room_shard', 0, '0', '2147483647'), ('presence.room_shard', 1, '-2147483648', '-1');
    INSERT INTO pg_dist_placement VALUES (0, ${shards[0]}), (1, ${shards[1]});
    RESET allow_system_table_mods`)
  await tellOfMove(sql)
}
export async function moveShard(databases, shard, node) {
  for (const { sql } of databases) await sql('UPDATE pg_dist_placement SET groupid = $2 WHERE shardid = $1', [shard, node])
  for (const { sql } of databases) await tellOfMove(sql)
}
// Citus does so by an invalidation of room_shard.
const tellOfMove = (sql) => sql('ALTER TABLE presence.room_shard SET (autovacuum_enabled = off); ALTER TABLE presence.room_shard RESET (autovacuum_enabled)')

// Gateways

// Those that run. A test that has hung is ended (gateway/test/run): it says what they said, and an
// abort makes a sanitized one say where it is.
const gateways = new Set()
process.once('SIGTERM', () => {
  const hung = [...gateways]
  for (const { child } of hung) child.kill('SIGABRT')
  setTimeout(() => {
    for (const { log } of hung) console.log(log.slice(-3000))
    process.exit(1)
  }, 2000)
})

export async function startGateway(database, args = [], { host, wrap = [], ready = true, conninfo, env = {}, stdio = [] } = {}) {
  const wrapper = [...wrap, ...(process.env.GATEWAY_WRAPPER ?? '').split(' ').filter(Boolean)]
  if (conninfo === undefined) conninfo = `host=${host ?? process.env.PGHOST} user=gateway dbname=${database.name}`
  const command = [...wrapper, process.env.GATEWAY_PROGRAM, '--listen', '127.0.0.1:0', ...(conninfo === null ? [] : ['--database', conninfo]), ...args]
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'pipe', ...stdio], env: { ...process.env, ...env } })
  const gateway = { child, log: '', port: 0 }
  const exited = once(child, 'exit')
  gateways.add(gateway)
  child.once('exit', () => gateways.delete(gateway))
  child.stderr.on('data', (data) => (gateway.log += data))
  await until('the gateway listens', () => {
    if (child.exitCode !== null) throw new Error(`the gateway ended: ${gateway.log}`)
    gateway.port = Number(/listening on \S+?:(\d+)/.exec(gateway.log)?.[1] ?? 0)
    return gateway.port && (!ready || gateway.log.includes('database connected'))
  })
  gateway.stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    const impatience = setTimeout(() => child.kill('SIGABRT'), patience)
    const [code, signal] = await exited
    clearTimeout(impatience)
    if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the gateway ended with ${code ?? signal}:\n${gateway.log}`)
  }
  gateway.kill = async (signal = 'SIGKILL') => {
    child.kill(signal)
    if (signal === 'SIGKILL') await exited
  }
  const ask = (path) => fetch(`http://127.0.0.1:${gateway.port}${path}`, { signal: AbortSignal.timeout(patience) })
  gateway.status = async (path) => (await ask(path)).status
  gateway.get = async (path) => (await ask(path)).text()
  gateway.metric = async (name) => {
    const pattern = name.replace(/[{}"]/g, '\\$&')
    const line = new RegExp(`^presence_gateway_${pattern} (\\S+)$`, 'm').exec(await gateway.get('/metrics'))
    return Number(line[1])
  }
  atEnd(() => gateway.stop())
  return gateway
}

export const apiOf = (gateway, app = {}) =>
  new PusherServer({ appId: '1', key: 'app-key', secret: 'app-secret', host: '127.0.0.1', port: String(gateway.port), useTLS: false, timeout: patience, ...app })

// A database with two gateways of those options, and the API of the first.
export async function twoGateways(args = []) {
  const database = await newDatabase()
  const [gateway, other] = [await startGateway(database, args), await startGateway(database, args)]
  return { database, gateway, other, api: apiOf(gateway) }
}

// Clients

export const encryptionMasterKeyBase64 = Buffer.alloc(32, 'a master key').toString('base64')
const signer = new PusherServer({ appId: '1', key: 'app-key', secret: 'app-secret', cluster: 'x', encryptionMasterKeyBase64 })
export const authorize = (socketId, channel, data) => signer.authorizeChannel(socketId, channel, data)
export const authenticate = (socketId, user) => signer.authenticateUser(socketId, user)

// An unmodified pusher-js; user_info is {name: id} unless given.
export function newClient(gateway, id, { info = { name: id }, ...options } = {}) {
  const client = new Pusher('app-key', {
    wsHost: '127.0.0.1',
    wsPort: gateway.port,
    wssPort: gateway.port,
    forceTLS: false,
    enabledTransports: ['ws', 'wss'],
    cluster: 'x',
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) =>
        done(null, authorize(socketId, channelName, channelName.startsWith('presence-') ? { user_id: id, user_info: info } : undefined))
    },
    userAuthentication: { customHandler: ({ socketId }, done) => done(null, authenticate(socketId, { id })) },
    ...options
  })
  client.connection.bind('error', () => {})
  atEnd(() => client.disconnect())
  return client
}

// Subscribes to a room; the channel notes what happens in it.
export async function enter(client, book) {
  const channel = client.subscribe(`presence-room-${book}`)
  channel.events = []
  channel.bind_global((event, data) => channel.events.push({ event, data }))
  await until(`subscribed to ${book}`, () => channel.subscribed)
  return channel
}

export const memberIds = (channel) => Object.keys(channel.members.members).sort()
export const eventsOf = (channel, name) => channel.events.filter(({ event }) => event === name).map(({ data }) => data)

// A bare WebSocket, with the messages that came.
export async function newSocket(gateway, path = '/app/app-key?protocol=7', options = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`, options)
  const raw = { socket, messages: [], code: null }
  socket.on('message', (data) => {
    const message = JSON.parse(data)
    if (message.event !== 'pusher:ping' || options.pings) raw.messages.push(message) // they come when all is slow
  })
  socket.on('close', (code) => (raw.code = code))
  socket.on('error', () => {})
  raw.send = (value) => socket.send(typeof value === 'string' ? value : JSON.stringify(value))
  raw.say = (event, data, rest) => raw.send({ event, data, ...rest })
  raw.next = (event, ms) => until(event, () => {
    const at = raw.messages.findIndex((message) => message.event === event)
    return at >= 0 && raw.messages.splice(at, 1)[0]
  }, ms)
  raw.closed = () => until('closed', () => raw.code)
  atEnd(() => socket.terminate())
  await until('open', () => socket.readyState !== WebSocket.CONNECTING)
  if (path.startsWith('/app/app-key?protocol=7') && !options.silent) {
    const hello = await raw.next('pusher:connection_established')
    Object.assign(raw, JSON.parse(hello.data))
  }
  raw.subscribe = (channel, data) => {
    const needsAuth = channel.startsWith('private-') || channel.startsWith('presence-')
    raw.say('pusher:subscribe', { channel, ...(needsAuth ? authorize(raw.socket_id, channel, data) : {}) })
    return raw.next('pusher_internal:subscription_succeeded')
  }
  return raw
}

// Webhooks

// The app's server: what came, verified by the official package. answer(request, response) may do else.
// tls: of a server that speaks HTTPS.
export async function newReceiver(tls) {
  const receiver = { requests: [], events: [], answer: null }
  const take = (request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (data) => (body += data)).on('end', async () => {
      const webhook = signer.webhook({ headers: request.headers, rawBody: body })
      receiver.requests.push({ request, body, at: Date.now() })
      if (request.method !== 'POST' || !webhook.isValid()) return response.writeHead(401).end()
      const { events } = webhook.getData()
      if (receiver.answer) return receiver.answer({ request, response, events, accept: () => receiver.events.push(...events) })
      receiver.events.push(...events)
      response.end('ok')
    })
  }
  const server = tls ? https.createServer(tls, take) : http.createServer(take)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  receiver.url = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}/hook?a=b`
  receiver.of = (channel) => receiver.events.filter((event) => event.channel === channel)
  receiver.told = (channel) => receiver.of(channel).map(({ name, user_id }) => (user_id ? `${name} ${user_id}` : name))
  return receiver
}

export const hook = (db, receiver, events) =>
  db.sql('INSERT INTO presence.pusher_webhook (app_id, url, events) VALUES (1, $1, COALESCE($2, ARRAY[\'channel_occupied\', \'channel_vacated\', \'member_added\', \'member_removed\']))', [receiver.url, events])

// Processes: CPU seconds so far, and resident megabytes.
export const cpuSeconds = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
export const residentMb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024

// An honest client in a process of its own: what its pings and joins took, from begin() to end().
async function startHonest(gateway, room) {
  const child = spawn(process.execPath, ['honest.mjs', String(gateway.port), room], { stdio: ['pipe', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (data) => (out += data))
  atEnd(() => child.kill('SIGKILL'))
  await until('the honest client is there', () => out.includes('ready'))
  // Of a few the longest is no percentile: one outlier of the machine is left out.
  const p = (list, q) => [...list].sort((a, b) => a - b)[Math.floor((list.length - 1) * q)]
  const begin = () => child.stdin.write('begin\n')
  const end = async () => {
    const ended = once(child, 'exit')
    child.stdin.end()
    await ended
    const { ping, join, lost } = JSON.parse(out.split('\n').filter((line) => line.startsWith('{'))[0])
    return { pings: ping.length, ping: p(ping, 0.99), joins: join.length, join: p(join, 0.99), longest: Math.max(...ping, ...join), lost }
  }
  return { begin, end }
}

// While something bad happens to a gateway an honest client of it goes on, its round trips under
// LIMIT (100 ms, p99). Another one does the same at a gateway to which nothing happens: what that one
// waits for is the machine, and three times as much is allowed besides.
const limit = Number(process.env.LIMIT ?? 100) * slowness
export async function during(t, gateway, idle, bad) {
  const room = t.name.replace(/[^a-z]/g, '').slice(0, 40)
  const clients = [await startHonest(gateway, room), await startHonest(idle, `${room}-idle`)]
  for (const { begin } of clients) begin()
  const end = Date.now() + 2000 // at least, so that there is something to judge
  const value = await bad()
  await sleep(Math.max(500, end - Date.now()))
  const [mine, quiet] = await Promise.all(clients.map(({ end }) => end()))
  const say = ({ pings, ping, joins, join, longest }) => `${pings} pings p99 ${ping.toFixed(1)} ms, ${joins} joins p99 ${join.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`
  t.diagnostic(`honest client: ${say(mine)}; where nothing happens: ${say(quiet)}`)
  if (mine.lost) throw new Error('the honest client was closed')
  if (mine.pings < 4 || mine.joins < 1) throw new Error('too few round trips to judge')
  for (const what of ['ping', 'join']) if (mine[what] > limit + 3 * quiet[what]) throw new Error(`${what}s: p99 ${mine[what]} ms`)
  return value
}

// A TCP connection as it is, with what came.
export async function dial(gateway, text = '') {
  const socket = net.connect({ port: gateway.port, host: '127.0.0.1' })
  const raw = { socket, answer: '', closed: false }
  socket.on('data', (data) => (raw.answer += data)).on('close', () => (raw.closed = true)).on('error', () => (raw.closed = true))
  raw.write = (data) => socket.write(data)
  raw.status = () => until('an answer', () => Number(/^HTTP\/1\.1 (\d+)/.exec(raw.answer)?.[1]))
  atEnd(() => socket.destroy())
  await until('connected', () => !socket.connecting)
  if (text) socket.write(text)
  return raw
}
