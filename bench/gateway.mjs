// The load of bench/gateway: gateway.mjs HOST:PORT PID POSTMASTER_PID [SECTION...]
//
// Any server of the Pusher protocol can be measured; POSTMASTER_PID is 0 for one without PostgreSQL.
// Clients are bare TCP connections that speak just enough WebSocket, so that the client's own
// work blurs the figures as little as can be. CPU is what the kernel says the processes ran,
// each of PostgreSQL's too; TITLES: PID NAME,... of backends. APP_KEY and APP_SECRET are those of the app. Needs node, and
// no package.
import net from 'node:net'
import { createHmac } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

const [address, gatewayPid, postmasterPid, ...sections] = process.argv.slice(2)
const port = address.split(':').at(-1)
const host = address.includes(':') ? address.slice(0, address.lastIndexOf(':')) : '127.0.0.1'
const { APP_KEY = 'app-key', APP_SECRET = 'app-secret', TITLES = '' } = process.env
const titles = new Map(TITLES.split(',').map((one) => [one.split(' ')[0], one.split(' ').slice(1).join(' ')]))
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// Microseconds that the process has run, all of its threads.
function ran(pid) {
  let ns = 0
  for (const task of readdirSync(`/proc/${pid}/task`))
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  return ns / 1000
}

function serverPids() {
  if (postmasterPid === '0') return []
  const pids = [postmasterPid]
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      if (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1] === postmasterPid) pids.push(pid)
    } catch {
      // gone meanwhile
    }
  return pids
}

const cpu = () => ({ gateway: ran(gatewayPid), each: new Map(serverPids().map((pid) => [pid, ran(pid)])) })
const title = (pid) => titles.get(pid) ?? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0/g, ' ').trim().slice(0, 60)
const spent = (from, n) => {
  const now = cpu()
  const gateway = (now.gateway - from.gateway) / 1000 / n
  const ms = [...now.each].map(([pid, us]) => [pid, (us - (from.each.get(pid) ?? 0)) / 1000 / n])
  const postgres = ms.reduce((sum, [, one]) => sum + one, 0)
  for (const [pid, one] of ms.sort((a, b) => b[1] - a[1])) if (one >= 0.01) console.log(`    ${one.toFixed(3)} ms ${title(pid)}`)
  return `server ${gateway.toFixed(3)} + PostgreSQL ${postgres.toFixed(3)} = ${(gateway + postgres).toFixed(3)} ms`
}
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gatewayPid}/status`, 'utf8'))[1]) / 1024
const percentile = (values, p) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))]

// A text frame, masked with zeros: the payload stays as it is.
function frame(text) {
  const payload = Buffer.from(text)
  const header = payload.length < 126 ? Buffer.from([0x81, 0x80 | payload.length]) : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 255])
  return Buffer.concat([header, Buffer.alloc(4), payload])
}

function subscription(socketId, room, user) {
  const channel = `presence-room-${room}`
  const channel_data = JSON.stringify({ user_id: user, user_info: { name: `Reader ${user}`, avatarUrl: `https://example.com/${user}.png` } })
  const auth = `${APP_KEY}:${createHmac('sha256', APP_SECRET).update(`${socketId}:${channel}:${channel_data}`).digest('hex')}`
  return frame(JSON.stringify({ event: 'pusher:subscribe', data: { channel, auth, channel_data } }))
}

const PING = Buffer.from('pusher:ping')
const PONG = frame('{"event":"pusher:pong","data":{}}')

// Connected and greeted; socket.waits: the text that ends a wait, and what to do then.
function connect() {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port: Number(port), host, noDelay: true })
    let id
    socket.on('error', reject)
    socket.on('close', () => socket.expected || reject(new Error('closed by the gateway')))
    socket.write(`GET /app/${APP_KEY}?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
    socket.on('data', (data) => {
      if (!id) {
        id = /socket_id\\":\\"([0-9.]+)/.exec(data.toString())?.[1]
        if (!id) return
        socket.id = id
        resolve(socket)
        return
      }
      const { text, done } = socket.waits ?? {}
      if (text && data.includes(text)) {
        socket.waits = null
        done()
      }
      if (data.includes(PING)) socket.write(PONG)
    })
  })
}

const heard = (socket, text) => new Promise((done) => (socket.waits = { text: Buffer.from(text), done }))

async function connectMany(n) {
  const sockets = []
  while (sockets.length < n) sockets.push(...(await Promise.all(Array.from({ length: Math.min(100, n - sockets.length) }, connect))))
  return sockets
}

async function closeMany(sockets) {
  for (const socket of sockets) {
    socket.expected = true
    socket.destroy()
  }
  await sleep(1000)
}

const succeeded = 'subscription_succeeded'

async function memory() {
  const before = resident()
  const sockets = await connectMany(5000)
  for (let i = 0; i < sockets.length; i += 250)
    await Promise.all(sockets.slice(i, i + 250).map((socket, j) => {
      const wait = heard(socket, succeeded)
      socket.write(subscription(socket.id, `memory-${Math.floor((i + j) / 50)}`, `u${i + j}`))
      return wait
    }))
  await sleep(500)
  console.log(`5,000 sockets in rooms of 50: ${resident().toFixed(1)} MB resident (${before.toFixed(1)} MB before)`)
  await closeMany(sockets)
}

async function joins() {
  const first = cpu()
  const sockets = await connectMany(2000)
  await sleep(200)
  console.log(`2,000 clients connect: ${spent(first, 2000)} CPU each`)
  const messages = sockets.map((socket, i) => subscription(socket.id, `join-${i % 100}`, `u${i}`))
  await sleep(1000)
  const from = cpu()
  const start = performance.now()
  await Promise.all(sockets.map((socket, i) => {
    const wait = heard(socket, succeeded)
    socket.write(messages[i])
    return wait
  }))
  const ms = performance.now() - start
  await sleep(500)
  console.log(`2,000 clients join 100 rooms at once: ${spent(from, 2000)} CPU a join; all in after ${ms.toFixed(0)} ms`)
  await closeMany(sockets)
}

async function room90() {
  const rounds = 200
  const sockets = await connectMany(90)
  await Promise.all(sockets.map((socket, i) => {
    const wait = heard(socket, succeeded)
    socket.write(subscription(socket.id, 'ninety', `u${i}`))
    return wait
  }))
  const members = sockets.slice(0, 89)
  const guest = sockets[89]
  const times = { join: [], leave: [] }
  const leave = frame(JSON.stringify({ event: 'pusher:unsubscribe', data: { channel: 'presence-room-ninety' } }))
  guest.write(leave)
  await sleep(500)
  const join = subscription(guest.id, 'ninety', 'guest')
  const from = cpu()
  for (let i = 0; i < rounds; i++)
    for (const [kind, message, event] of [['join', join, 'internal:member_added'], ['leave', leave, 'internal:member_removed']]) {
      const waits = members.map((socket) => heard(socket, event))
      const start = performance.now()
      guest.write(message)
      await Promise.all(waits)
      times[kind].push(performance.now() - start)
      await sleep(5)
    }
  console.log(`a member joins and leaves a room of 90: ${spent(from, rounds)} CPU`)
  for (const kind of ['join', 'leave'])
    console.log(`  ${kind}, until all have heard: p50 ${percentile(times[kind], 0.5).toFixed(2)}, p99 ${percentile(times[kind], 0.99).toFixed(2)} ms`)
  await closeMany(sockets)
}

// The room has 10,000 members already: the list goes to who joins, an event to one who is there.
async function big() {
  const [member, guest] = await connectMany(2)
  const entered = heard(member, '"}')
  member.write(subscription(member.id, 'big', 'member'))
  await entered
  await sleep(1000)
  const rounds = 50
  const leave = frame(JSON.stringify({ event: 'pusher:unsubscribe', data: { channel: 'presence-room-big' } }))
  const join = subscription(guest.id, 'big', 'guest')
  const from = cpu()
  for (let i = 0; i < rounds; i++)
    for (const [message, event] of [[join, 'internal:member_added'], [leave, 'internal:member_removed']]) {
      const wait = heard(member, event)
      guest.write(message)
      await wait
      await sleep(20)
    }
  console.log(`a member joins and leaves a room of 10,001, the list sent to him: ${spent(from, rounds)} CPU`)
  await closeMany([member, guest])
}

const all = { memory, joins, room90, big }
for (const section of sections.length ? sections : Object.keys(all)) await all[section]()
process.exit()
