// What goes wrong: PostgreSQL, the network, clients, gateways.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { spawn, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import net from 'node:net'
import {
  apiOf, atEnd, authorize, closeAll, enter, eventsOf, hook, memberIds, newClient, newDatabase, newReceiver, newSocket, ownDirectory, pgCtl, postmasterPid, sleep,
  slowness, startGateway, until
} from './harness.mjs'

process.env.PGHOST = process.env.FAULTY_PGHOST ?? process.env.PGHOST // a server that nobody else needs

let database
before(async () => {
  database = await newDatabase()
})
after(closeAll)

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)

// A client in a process of its own, so that it can be killed and stopped.
async function clientProcess(gateway, user, book) {
  const child = spawn(process.execPath, ['client.mjs', String(gateway.port), user, book], { stdio: ['ignore', 'pipe', 'inherit'] })
  atEnd(() => child.kill('SIGKILL'))
  let out = ''
  child.stdout.on('data', (data) => (out += data))
  await until('the client is in', () => out.includes('in'))
  return child
}

// Between a gateway and PostgreSQL: can be cut off without a word, or ended; lets so many connections through at most,
// and others wait for ever.
async function newProxy() {
  const dir = mkdtempSync(join(tmpdir(), 'gw-proxy-'))
  const proxy = { host: dir, cut: false, most: Infinity, pairs: new Set() }
  const server = net.createServer((client) => {
    if (proxy.pairs.size >= proxy.most) return client.on('error', () => {})
    const upstream = net.connect(`${process.env.PGHOST}/.s.PGSQL.${process.env.PGPORT ?? 5432}`)
    const pair = { client, upstream }
    proxy.pairs.add(pair)
    for (const [from, to] of [[client, upstream], [upstream, client]])
      from.on('data', (data) => proxy.cut || to.write(data)).on('error', () => {}).on('close', () => {
        to.destroy()
        proxy.pairs.delete(pair)
      })
  })
  await new Promise((resolve) => server.listen(join(dir, `.s.PGSQL.${process.env.PGPORT ?? 5432}`), resolve))
  execFileSync('chmod', ['755', dir])
  proxy.drop = () => proxy.pairs.forEach(({ client }) => client.destroy())
  atEnd(() => {
    proxy.drop()
    server.close()
    rmSync(dir, { recursive: true, force: true })
  })
  return proxy
}

test('a client that is killed is gone at once, if nobody lingers', async () => {
  const gateway = await startGateway(database, ['--linger', '0'])
  const ann = await enter(newClient(gateway, 'ann'), 'killed')
  const child = await clientProcess(gateway, 'ben', 'killed')
  await until('ben is there', () => ann.members.count === 2)
  child.kill('SIGKILL')
  await until('ben is gone', () => ann.members.count === 1, 10_000) // a silent one would take 24 s
})

test('a client that falls silent is gone within 30 s', { timeout: 120_000 }, async () => {
  const gateway = await startGateway(database)
  const ann = await enter(newClient(gateway, 'ann'), 'silent')
  const child = await clientProcess(gateway, 'ben', 'silent')
  await until('ben is there', () => ann.members.count === 2)
  const start = Date.now()
  child.kill('SIGSTOP')
  await until('ben is gone', () => ann.members.count === 1, 60_000)
  const seconds = (Date.now() - start) / 1000
  assert.ok(seconds > 10 && seconds < 30, `${seconds} s`)
  assert.equal(eventsOf(ann, 'pusher:member_removed').length, 1)
})

test('PostgreSQL restarts: nobody reconnects, all hear of it, lists are right', { timeout: 120_000 }, async () => {
  const gateway = await startGateway(database)
  const api = apiOf(gateway)
  const clients = ['ann', 'ben', 'cat'].map((id) => newClient(gateway, id))
  const rooms = await Promise.all(clients.map((client) => enter(client, 'restart')))
  await until('all are there', () => rooms.every((room) => room.members.count === 3))
  const ids = clients.map((client) => client.connection.socket_id)
  // Events keep the connections busy: each end finds them in another state.
  let busy = true
  const events = (async () => {
    while (busy) await api.trigger('news', 'tick', 'x'.repeat(9000)).catch(() => sleep(10))
  })()
  for (const mode of ['fast', 'immediate', 'fast', 'immediate', 'immediate']) {
    rooms.forEach((room) => (room.events.length = 0))
    pgCtl('-m', mode, 'stop')
    await until('degraded', () => rooms.every((room) => eventsOf(room, 'presence:degraded').length >= 1))
    assert.match(await gateway.get('/healthz'), /away/)
    pgCtl('-w', 'start')
    await until('restored', () => rooms.every((room) => eventsOf(room, 'presence:restored').length >= 1), 20_000)
    assert.deepEqual(await database.members('restart'), ['ann', 'ben', 'cat'])
    for (const room of rooms) {
      assert.deepEqual(memberIds(room), ['ann', 'ben', 'cat'])
      assert.deepEqual(eventsOf(room, 'pusher:member_added'), [])
      assert.deepEqual(eventsOf(room, 'pusher:member_removed'), [])
    }
  }
  busy = false
  await events
  assert.deepEqual(clients.map((client) => client.connection.socket_id), ids)
  clients[2].disconnect()
  await until('he left', () => rooms[0].members.count === 2)
})

test('what happened while PostgreSQL was away from the gateway comes as a difference', { timeout: 60_000 }, async () => {
  const proxy = await newProxy()
  const gateway = await startGateway(database, [], { host: proxy.host })
  const other = await startGateway(database)
  const ann = await enter(newClient(gateway, 'ann'), 'cut')
  const ben = newClient(other, 'ben')
  await enter(ben, 'cut')
  await until('ben is there', () => ann.members.count === 2)
  proxy.cut = true
  ben.disconnect()
  await enter(newClient(other, 'cat'), 'cut')
  const late = newClient(gateway, 'dan')
  late.subscribe('presence-room-cut')
  await until('degraded', () => eventsOf(ann, 'presence:degraded').length >= 1, 20_000)
  assert.deepEqual(memberIds(ann), ['ann', 'ben'])
  proxy.drop()
  proxy.cut = false
  await until('restored', () => eventsOf(ann, 'presence:restored').length >= 1, 20_000)
  await until('the list is right', () => same(memberIds(ann), ['ann', 'cat', 'dan']))
  await until('who came meanwhile is in', () => late.channel('presence-room-cut').subscribed)
  assert.deepEqual(eventsOf(ann, 'pusher:member_removed').map(({ id }) => id), ['ben'])
  assert.deepEqual(eventsOf(ann, 'pusher:member_added').map(({ id }) => id).sort(), ['ben', 'cat', 'dan'])
})

test('a gateway that only listened until PostgreSQL restarted believes the numbers of the new server', { timeout: 60_000 }, async () => {
  const proxy = await newProxy()
  proxy.most = 1
  pgCtl('-m', 'fast', '-w', 'restart') // so that both servers begin with 1
  const gateway = await startGateway(database, [], { host: proxy.host, ready: false })
  const ann = newClient(gateway, 'ann')
  const room = ann.subscribe('presence-room-anew')
  let joined = 0
  await until('it knows of the room', async () => (await gateway.metric('rooms')) === 1)
  await until('it hears of more events than it will of the new server', async () => {
    await database.sql("SELECT presence.join_room('user-' || $1::int, 'anew', 'early', ttl => '1 s')", [joined++])
    return (await gateway.metric('member_events_total')) >= 30
  }, 30_000)
  assert.equal(await gateway.metric('database_losses_total'), 0)
  pgCtl('-m', 'fast', '-w', 'restart')
  proxy.most = Infinity
  await until('ann is in', () => room.subscribed, 20_000)
  await database.sql("SELECT presence.join_room('ben', 'anew', ttl => '1 min')")
  await until('ann hears of ben', () => memberIds(room).includes('ben'))
  await database.sql("SELECT presence.leave_room('ben', 'anew')")
  await until('and that he goes', () => !memberIds(room).includes('ben'))
  assert.equal(await gateway.metric('events_refused_total'), 0)
})

test('an extension that is dropped and made anew has another key, and the gateway learns it', { timeout: 60_000 }, async () => {
  const own = await newDatabase()
  const gateway = await startGateway(own)
  const ann = await enter(newClient(gateway, 'ann'), 'remade')
  await own.sql(`BEGIN; DROP EXTENSION presence; CREATE EXTENSION presence; SELECT presence.grant_gateway('gateway');
    INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('1', 'app-key', 'app-secret'); COMMIT`)
  await until('ann is a member there', async () => same(await own.members('remade'), ['ann']), 20_000)
  await own.sql("SELECT presence.join_room('ben', 'remade', ttl => '1 min')")
  await until('ann hears of ben', () => same(memberIds(ann), ['ann', 'ben']))
  await own.sql("SELECT presence.leave_room('ben', 'remade')")
  await until('and that he goes', () => same(memberIds(ann), ['ann']))
})

test('a database that does not answer is degraded, and is dropped in the end', { timeout: 90_000 }, async () => {
  const proxy = await newProxy()
  const gateway = await startGateway(database, [], { host: proxy.host })
  const ann = await enter(newClient(gateway, 'ann'), 'slow')
  proxy.cut = true
  await until('degraded', () => eventsOf(ann, 'presence:degraded').length >= 1, 20_000)
  await until('given up', () => gateway.log.includes('no answer'), 40_000)
  proxy.cut = false
  await until('restored', () => eventsOf(ann, 'presence:restored').length >= 1, 20_000)
  assert.deepEqual(memberIds(ann), ['ann'])
})

test('kill -9 of PostgreSQL under load: lists equal room_members within the lease, nobody reconnects', { timeout: 120_000 }, async () => {
  const gateway = await startGateway(database)
  const rooms = 5
  const clients = await Promise.all(Array.from({ length: 100 }, () => newSocket(gateway)))
  const lists = clients.map(() => null)
  let errors = 0 // nobody is told that he was removed
  let churning = true
  clients.forEach((raw, i) =>
    raw.socket.on('message', (text) => {
      const { event, data } = JSON.parse(text)
      const value = data && typeof data === 'string' ? JSON.parse(data) : data
      if (event === 'pusher_internal:subscription_succeeded') lists[i] = new Set(value.presence.ids)
      if (event === 'pusher:subscription_error') errors++
      if (event === 'pusher_internal:member_added') lists[i]?.add(value.user_id)
      if (event === 'pusher_internal:member_removed') lists[i]?.delete(value.user_id)
    })
  )
  const subscribe = (i) => {
    const channel = `presence-room-crash${i % rooms}`
    clients[i].say('pusher:subscribe', { channel, ...authorize(clients[i].socket_id, channel, { user_id: `u${i}` }) })
  }
  const unsubscribe = (i) => {
    lists[i] = null
    clients[i].say('pusher:unsubscribe', { channel: `presence-room-crash${i % rooms}` })
  }
  clients.forEach((_, i) => subscribe(i))
  const churn = (async () => {
    for (let n = 0; churning; n++) {
      const i = 50 + (n % 50)
      unsubscribe(i)
      await sleep(2)
      subscribe(i)
    }
  })()
  await sleep(500)
  process.kill(await postmasterPid(), 'SIGKILL')
  await until('degraded', () => gateway.log.includes('degraded'))
  await sleep(300)
  await until('started', () => {
    try {
      pgCtl('-w', 'start')
      return true
    } catch {
      return false
    }
  }, 30_000)
  await until('restored', () => gateway.log.includes('restored'), 30_000)
  await sleep(300)
  churning = false
  await churn
  const start = Date.now()
  for (let room = 0; room < rooms; room++)
    await until('the lists are right', async () => {
      const truth = await database.members(`crash${room}`)
      return truth.length === 20 && lists.every((list, i) => i % rooms !== room || (list && same([...list].sort(), truth)))
    }, 27_000)
  assert.ok(Date.now() - start < 25_000 * slowness)
  assert.ok(clients.every((raw) => raw.code === null))
  assert.equal(errors, 0)
})

test('a slow reader is closed, others are not delayed', async () => {
  const gateway = await startGateway(database, ['--max-backlog', '100000', '--silence', '600'])
  const [slow, quick] = [await newSocket(gateway), await newSocket(gateway)]
  for (const raw of [slow, quick]) await raw.subscribe('flood')
  slow.socket._socket.pause()
  const api = apiOf(gateway)
  const data = 'x'.repeat(10_000)
  let sent = 0
  while ((await gateway.metric('sockets_slow_total')) === 0 && sent < 2000) {
    await Promise.all(Array.from({ length: 10 }, () => api.trigger('flood', 'wave', data)))
    sent += 10
    await until('the quick one has all', () => quick.messages.filter(({ event }) => event === 'wave').length === sent, 10_000)
  }
  assert.equal(await gateway.metric('sockets_slow_total'), 1)
  assert.equal(quick.code, null)
  slow.socket._socket.resume()
  assert.equal(await slow.closed(), 1006)
})

test('SIGTERM: clients are told 4200, members stay for the linger, and nobody sees them go', async () => {
  const db = await newDatabase() // with no linger
  const gateway = await startGateway(db)
  const other = await startGateway(db)
  const ann = await enter(newClient(other, 'ann'), 'drain')
  const raw = await newSocket(gateway)
  await raw.subscribe('presence-room-drain', { user_id: 'ben' })
  await until('ben is there', () => ann.members.count === 2)
  await gateway.stop()
  assert.equal(await raw.closed(), 4200)
  assert.deepEqual(await db.members('drain'), ['ann', 'ben'])
  await enter(newClient(other, 'ben'), 'drain')
  await sleep(200)
  assert.deepEqual(eventsOf(ann, 'pusher:member_removed'), [])
  assert.equal((await db.sql("SELECT sum(connections)::int AS n FROM presence.room_members('drain')")).rows[0].n, 2)
})

test('SIGKILL of a gateway: its members are back through another one, or gone by the lease', { timeout: 60_000 }, async () => {
  const db = await newDatabase({ 'presence.timeout': '5s' })
  const gateway = await startGateway(db)
  const other = await startGateway(db)
  const ann = await enter(newClient(other, 'ann'), 'sigkill')
  for (const user of ['ben', 'cat']) await (await newSocket(gateway)).subscribe('presence-room-sigkill', { user_id: user })
  await until('all are there', () => ann.members.count === 3)
  const start = Date.now()
  await gateway.kill()
  await enter(newClient(other, 'ben'), 'sigkill')
  await until('cat is gone', () => !ann.members.get('cat'), 15_000)
  assert.ok(Date.now() - start > 1000)
  assert.deepEqual(memberIds(ann), ['ann', 'ben'])
  assert.deepEqual(eventsOf(ann, 'pusher:member_removed').map(({ id }) => id), ['cat'])
})

test('a gateway that was stopped for longer than the lease joins again', { timeout: 60_000 }, async () => {
  const db = await newDatabase({ 'presence.timeout': '2s' })
  const gateway = await startGateway(db)
  const ann = await enter(newClient(gateway, 'ann'), 'stopped')
  await gateway.kill('SIGSTOP')
  await until('she is gone', async () => (await db.members('stopped')).length === 0)
  await gateway.kill('SIGCONT')
  await until('she is back', async () => same(await db.members('stopped'), ['ann']))
  assert.deepEqual(memberIds(ann), ['ann'])
})

test('heartbeats keep a connection for longer than its lease', async () => {
  const db = await newDatabase({ 'presence.timeout': '3s' })
  const gateway = await startGateway(db)
  const raw = await newSocket(gateway)
  await raw.subscribe('presence-room-beat', { user_id: 'ann' })
  const first = (await db.sql('SELECT id FROM presence.online')).rows
  await sleep(6500)
  assert.deepEqual((await db.sql('SELECT id FROM presence.online')).rows, first)
})

test('TLS', async () => {
  const dir = ownDirectory('gw-tls-')
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost',
    '-keyout', `${dir}/key.pem`, '-out', `${dir}/cert.pem`], { stdio: 'ignore' })
  const gateway = await startGateway(database, ['--tls-cert', `${dir}/cert.pem`, '--tls-key', `${dir}/key.pem`])
  const { default: WebSocket } = await import('ws')
  const socket = new WebSocket(`wss://127.0.0.1:${gateway.port}/app/app-key?protocol=7`, { rejectUnauthorized: false })
  atEnd(() => socket.terminate())
  const messages = []
  socket.on('message', (text) => messages.push(JSON.parse(text)))
  const hello = await until('hello', () => messages.shift())
  const { socket_id } = JSON.parse(hello.data)
  const channel = 'presence-room-tls'
  socket.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel, ...authorize(socket_id, channel, { user_id: 'ann' }) } }))
  assert.equal((await until('answer', () => messages.shift())).event, 'pusher_internal:subscription_succeeded')
  for (let n = 0; n < 50; n++) socket.send(JSON.stringify({ event: 'pusher:ping', data: {}, pad: 'x'.repeat(n * 200) }))
  await until('50 pongs', () => messages.filter(({ event }) => event === 'pusher:pong').length === 50)
})

test('webhooks: the server crashes with events under way, and what was told adds up', { timeout: 240_000 }, async () => {
  const db = await newDatabase() // other tests' clients are not in it
  const receiver = await newReceiver()
  const held = []
  receiver.answer = ({ response }) => held.push(response) // does not answer
  await hook(db, receiver)
  const gateway = await startGateway(db, ['--linger', '0'])
  const [stays, goes] = [await newSocket(gateway), await newSocket(gateway)]
  await stays.subscribe('private-stays')
  await goes.subscribe('private-goes')
  await db.sql("SELECT presence.join_room('ann', 'crashed', ttl => '1 h'), presence.join_room('ben', 'crashed', ttl => '1 h')")
  await until('under way', () => held.length)
  await until('all is written down', async () => (await db.sql("SELECT FROM presence.webhook_event WHERE channel IN ('private-stays', 'private-goes')")).rowCount === 2)
  pgCtl('-m', 'immediate', 'stop')
  goes.socket.terminate()
  receiver.answer = null
  for (const response of held) response.destroy()
  await sleep(1000)
  pgCtl('-w', 'start')
  await db.sql("SELECT presence.leave_room('ben', 'crashed')")
  const told = () => [...new Set(receiver.events.map(({ name, channel, user_id }) => `${channel} ${name}${user_id ? ` ${user_id}` : ''}`))].sort()
  // nobody holds ann any more; the channel that went is found out about by upkeep, a lease later
  await until('all is told', () => told().length >= 9, 150_000)
  assert.deepEqual(told(), [
    'presence-room-crashed channel_occupied', 'presence-room-crashed channel_vacated', 'presence-room-crashed member_added ann',
    'presence-room-crashed member_added ben', 'presence-room-crashed member_removed ann', 'presence-room-crashed member_removed ben',
    'private-goes channel_occupied', 'private-goes channel_vacated', 'private-stays channel_occupied'
  ])
})
