// What the tests share: databases, gateways, clients, and waiting for a state.
import { spawn, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import Pusher from 'pusher-js'
import PusherServer from 'pusher'
import WebSocket from 'ws'

export const slowness = Number(process.env.SLOWNESS ?? 1) // of a gateway that is watched
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// Waits until the function returns something true, and returns it.
export async function until(what, check, ms = 10_000) {
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
export async function closeAll() {
  while (closers.length) await closers.pop()()
  // pusher-js keeps timers of half a minute for what it was thrown out of.
  setTimeout(() => process.exit(), 500).unref()
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
  const client = new pg.Client({ database })
  client.on('error', () => {})
  await client.connect()
  try {
    return await client.query(text, values)
  } finally {
    await client.end().catch(() => {})
  }
}
export const admin = (text, values) => query('postgres', text, values)

// A database with the extension and one app, and the role "gateway", which is no superuser.
export async function newDatabase(settings = {}) {
  const name = `t${randomUUID().slice(0, 8)}`
  await admin(`CREATE DATABASE ${name}`)
  for (const [key, value] of Object.entries(settings)) await admin(`ALTER DATABASE ${name} SET ${key} = '${value}'`)
  await admin("DO $$ BEGIN CREATE ROLE gateway LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
  const sql = (text, values) => query(name, text, values)
  await sql('CREATE EXTENSION presence')
  await sql("SELECT presence.grant_gateway('gateway')")
  await sql("INSERT INTO presence.pusher_app VALUES ('1', 'app-key', 'app-secret')")
  const members = async (book) =>
    (await sql('SELECT user_id FROM presence.room_members($1) ORDER BY user_id', [book])).rows.map((row) => row.user_id)
  return { name, sql, members }
}

// Gateways

export async function startGateway(database, args = [], { host } = {}) {
  const wrapper = (process.env.GATEWAY_WRAPPER ?? '').split(' ').filter(Boolean)
  const conninfo = `host=${host ?? process.env.PGHOST} user=gateway dbname=${database.name}`
  const command = [...wrapper, process.env.GATEWAY_PROGRAM, '--listen', '127.0.0.1:0', '--database', conninfo, ...args]
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] })
  const gateway = { child, log: '', port: 0 }
  const exited = once(child, 'exit')
  child.stderr.on('data', (data) => (gateway.log += data))
  await until('the gateway listens', () => {
    if (child.exitCode !== null) throw new Error(`the gateway ended: ${gateway.log}`)
    gateway.port = Number(/listening on \S+?:(\d+)/.exec(gateway.log)?.[1] ?? 0)
    return gateway.port && gateway.log.includes('database connected')
  })
  gateway.stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    const [code] = await exited
    if (code !== 0 && child.signalCode !== 'SIGKILL') throw new Error(`the gateway ended with ${code}:\n${gateway.log}`)
  }
  gateway.kill = async (signal = 'SIGKILL') => {
    child.kill(signal)
    if (signal === 'SIGKILL') await exited
  }
  gateway.get = async (path) => (await fetch(`http://127.0.0.1:${gateway.port}${path}`)).text()
  gateway.metric = async (name) => {
    const line = new RegExp(`^presence_gateway_${name} (\\S+)$`, 'm').exec(await gateway.get('/metrics'))
    return Number(line[1])
  }
  atEnd(() => gateway.stop())
  return gateway
}

export const apiOf = (gateway, app = {}) =>
  new PusherServer({ appId: '1', key: 'app-key', secret: 'app-secret', host: '127.0.0.1', port: String(gateway.port), useTLS: false, ...app })

// Clients

const signer = new PusherServer({ appId: '1', key: 'app-key', secret: 'app-secret', cluster: 'x' })
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
  socket.on('message', (data) => raw.messages.push(JSON.parse(data)))
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
