// Webhooks: what happens in channels is told to the app's own server, at least once, by one gateway.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { closeAll, enter, hook, newClient, newDatabase, newReceiver, newSocket, ownDirectory, sleep, slowness, startGateway, twoGateways, until } from './harness.mjs'

const waiting = async (db) => (await db.sql('SELECT count(*)::int AS n FROM presence.webhook_event')).rows[0].n

let database, gateway, other
before(async () => ({ database, gateway, other } = await twoGateways(['--linger', '0'])))
after(closeAll)

test('rooms and channels: each event once, in order, verified by the official package', async () => {
  const receiver = await newReceiver()
  await hook(database, receiver)
  const [ann, ben] = [newClient(gateway, 'ann'), newClient(other, 'ben')]
  await enter(ann, 'hooked')
  await enter(newClient(other, 'ann'), 'hooked')
  await enter(ben, 'hooked')
  await until('told', () => receiver.of('presence-room-hooked').length === 3)
  ben.disconnect()
  await until('ben has left', () => receiver.of('presence-room-hooked').length === 4)
  await database.sql("SELECT presence.leave_room('ann', 'hooked')")
  await until('all have left', () => receiver.told('presence-room-hooked').at(-1) === 'channel_vacated')
  assert.deepEqual(receiver.told('presence-room-hooked'),
    ['channel_occupied', 'member_added ann', 'member_added ben', 'member_removed ben', 'member_removed ann', 'channel_vacated'])
  const sockets = [await newSocket(gateway), await newSocket(other)]
  for (const socket of sockets) await socket.subscribe('private-hooked')
  await until('occupied', () => receiver.of('private-hooked').length)
  for (const socket of sockets) socket.socket.terminate()
  await until('vacated', () => receiver.of('private-hooked').length === 2)
  assert.deepEqual(receiver.told('private-hooked'), ['channel_occupied', 'channel_vacated'])
  const { request, body } = receiver.requests[0]
  assert.equal(request.headers['content-type'], 'application/json')
  assert.equal(request.headers['x-pusher-key'], 'app-key')
  assert.equal(request.url, '/hook?a=b')
  assert.ok(Math.abs(JSON.parse(body).time_ms - Date.now()) < 60_000)
  await until('nothing waits', async () => (await waiting(database)) === 0)
  await database.sql('DELETE FROM presence.pusher_webhook')
})

test('client events, counts: what gateways know', async () => {
  const receiver = await newReceiver()
  await hook(database, receiver, ['client_event', 'subscription_count'])
  const [ann, ben] = [await newSocket(gateway), await newSocket(other)]
  await until('it is known', async () => {
    await ann.subscribe('private-warm')
    ann.say('client-warm', {}, { channel: 'private-warm' })
    await sleep(200)
    ann.say('pusher:unsubscribe', { channel: 'private-warm' })
    return receiver.of('private-warm').length
  })
  await ann.subscribe('private-talk')
  await ben.subscribe('presence-room-talk', { user_id: 'ben' })
  ann.say('client-wave', { n: 'ä 🙂' }, { channel: 'private-talk' })
  ben.say('client-wave', { n: 2 }, { channel: 'presence-room-talk' })
  await until('told', () => receiver.events.filter(({ name, channel }) => name === 'client_event' && channel.endsWith('-talk')).length === 2)
  const talk = (channel) => receiver.of(channel).find(({ name }) => name === 'client_event')
  assert.deepEqual(talk('private-talk'),
    { name: 'client_event', channel: 'private-talk', event: 'client-wave', data: '{"n":"ä 🙂"}', socket_id: ann.socket_id })
  assert.deepEqual(talk('presence-room-talk'),
    { name: 'client_event', channel: 'presence-room-talk', event: 'client-wave', data: '{"n":2}', socket_id: ben.socket_id, user_id: 'ben' })
  await until('counted', () => receiver.of('private-talk').some(({ name, subscription_count }) => name === 'subscription_count' && subscription_count === 1))
  await ben.subscribe('private-talk')
  await until('counted', () => receiver.of('private-talk').at(-1).subscription_count === 2)
  await database.sql('DELETE FROM presence.pusher_webhook')
})

test('the gateway that delivers is killed in the middle: nothing is lost, and the other goes on', async () => {
  const db = await newDatabase()
  const gateways = [await startGateway(db, ['--linger', '0']), await startGateway(db, ['--linger', '0'])]
  const receiver = await newReceiver()
  const held = []
  receiver.answer = ({ response, accept }) => held.push({ response, accept }) // never answers
  await hook(db, receiver)
  await db.sql("SELECT presence.join_room('ann', 'first', ttl => '1 h')")
  await until('a delivery is under way', () => held.length)
  await db.sql("SELECT presence.join_room('u' || n, 'second', ttl => '1 h') FROM generate_series(1, 100) AS n")
  // Only the leader has a delivery under way: its connection to the database holds the lock.
  const locks = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 'presence.pusher_webhook'::regclass AND objsubid = 3 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
  assert.equal((await db.sql(locks)).rowCount, 1)
  const leader = leaderOf(gateways, receiver.requests[0].request.socket)
  await leader.kill()
  receiver.answer = null
  await until('all are told', () => receiver.events.filter(({ name }) => name === 'member_added').length >= 101, 60_000)
  assert.deepEqual(receiver.told('presence-room-first'), ['channel_occupied', 'member_added ann'])
  const second = receiver.told('presence-room-second')
  assert.equal(second[0], 'channel_occupied')
  assert.deepEqual(second.slice(1), Array.from({ length: 100 }, (_, n) => `member_added u${n + 1}`))
  await until('nothing waits', async () => (await waiting(db)) === 0)
})

// Which gateway is at the other end of that socket. A port may have connections to several others.
function leaderOf(gateways, { remotePort, localPort }) {
  const [from, to] = [remotePort, localPort].map((port) => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`)
  const line = readFileSync('/proc/net/tcp', 'utf8').split('\n').find((text) => text.includes(` ${from} ${to} `))
  const inode = line.trim().split(/\s+/)[9]
  const found = gateways.find(({ child }) =>
    readdirSync(`/proc/${child.pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${child.pid}/fd/${fd}`) === `socket:[${inode}]`
      } catch {
        return false
      }
    }))
  assert.ok(found, 'the leader is one of them')
  return found
}

test('a receiver that fails is tried again, later and later, and gets all in order', async () => {
  const receiver = await newReceiver()
  let failures = 0
  receiver.answer = ({ response, events, accept }) => {
    const status = [500, 301, 404][failures++]
    if (status) return response.writeHead(status, { location: `${receiver.url}&elsewhere` }).end()
    accept()
    response.end()
  }
  const failed = (await gateway.metric('webhook_failures_total')) + (await other.metric('webhook_failures_total'))
  await hook(database, receiver)
  for (const user of ['a', 'b', 'c']) await database.sql('SELECT presence.join_room($1, $2, ttl => $3)', [user, 'failing', '1 h'])
  await until('all are told', () => receiver.events.length >= 4, 60_000)
  assert.deepEqual(receiver.told('presence-room-failing'), ['channel_occupied', 'member_added a', 'member_added b', 'member_added c'])
  assert.equal(failures, 4)
  assert.ok(receiver.requests.every(({ request }) => !request.url.includes('elsewhere')), 'redirects are not followed')
  const gaps = receiver.requests.slice(1).map(({ at }, i) => at - receiver.requests[i].at)
  for (const [i, least] of [700, 1400, 2900].entries()) assert.ok(gaps[i] >= least, `${gaps}`)
  assert.equal((await gateway.metric('webhook_failures_total')) + (await other.metric('webhook_failures_total')), failed + 3)
  await database.sql('DELETE FROM presence.pusher_webhook')
})

test('410: it is not told again', async () => {
  const receiver = await newReceiver()
  receiver.answer = ({ response }) => response.writeHead(410).end()
  await hook(database, receiver)
  await database.sql("SELECT presence.join_room('ann', 'gone', ttl => '1 h')")
  await until('asked', () => receiver.requests.length)
  await until('nothing waits', async () => (await waiting(database)) === 0)
  await database.sql('DELETE FROM presence.pusher_webhook')
})

test('receivers that are slow, never answer, or flood harm neither others nor the fan-out', async (t) => {
  const [good, silent, flood] = [await newReceiver(), await newReceiver(), await newReceiver()]
  silent.answer = () => {}
  flood.answer = ({ response }) => {
    response.writeHead(200)
    const more = () => {
      while (response.write('x'.repeat(65536)));
      response.once('drain', more)
    }
    response.on('error', () => {}).on('close', () => response.removeAllListeners('drain'))
    more()
  }
  for (const receiver of [silent, flood, good]) await hook(database, receiver)
  await database.sql("INSERT INTO presence.pusher_webhook (app_id, url) VALUES (1, 'http://127.0.0.1:1/closed'), (1, 'http://192.0.2.1/nowhere')")
  const [ann, ben] = [await newSocket(gateway), await newSocket(other)]
  for (const socket of [ann, ben]) await socket.subscribe('private-pace')
  await ann.subscribe('presence-room-pace', { user_id: 'ann' })
  const times = []
  for (let i = 0; i < 50; i++) {
    const start = performance.now()
    ann.say('client-pace', i, { channel: 'private-pace' })
    await ben.next('client-pace')
    times.push(performance.now() - start)
    await database.sql('SELECT presence.join_room($1, $2, ttl => $3)', [`u${i}`, 'pace', '1 h'])
    await sleep(110) // 10 client events a second are allowed
  }
  await until('the good one has all', () => good.told('presence-room-pace').length === 52)
  times.sort((a, b) => a - b)
  t.diagnostic(`from client to client, over two gateways: median ${times[25].toFixed(1)} ms, longest ${times.at(-1).toFixed(1)} ms`)
  assert.ok(times[47] < 200 * slowness, `${times[47]} ms`)
  // Its status came, and the rest was cut off.
  await until('the flood was received', async () =>
    (await database.sql('SELECT FROM presence.webhook_event AS e JOIN presence.pusher_webhook AS w ON w.id = e.webhook WHERE w.url = $1', [flood.url])).rowCount === 0)
  await until('the silent one is tried again', () => silent.requests.length > 1, 40_000)
  await database.sql('DELETE FROM presence.pusher_webhook')
})

test('a changed webhook is tried at once; a disabled one is silent; without a webhook nothing is written', async () => {
  const receiver = await newReceiver()
  const { rows } = await database.sql("INSERT INTO presence.pusher_webhook (app_id, url) VALUES (1, 'http://127.0.0.1:1/') RETURNING id")
  await database.sql("SELECT presence.join_room('ann', 'changed', ttl => '1 h')")
  const failures = async () => (await gateway.metric('webhook_failures_total')) + (await other.metric('webhook_failures_total'))
  const before = await failures()
  await until('it fails', async () => (await failures()) >= before + 3)
  const start = Date.now()
  await database.sql('UPDATE presence.pusher_webhook SET url = $1 WHERE id = $2', [receiver.url, rows[0].id])
  await until('told', () => receiver.of('presence-room-changed').length === 2)
  assert.ok(Date.now() - start < 3000 * slowness, 'before its time')
  await database.sql('UPDATE presence.pusher_webhook SET enabled = false')
  await database.sql("SELECT presence.join_room('ben', 'changed', ttl => '1 h')")
  assert.equal(await waiting(database), 0)
  await database.sql('DELETE FROM presence.pusher_webhook')
  await database.sql("SELECT presence.join_room('cy', 'changed', ttl => '1 h')")
  assert.equal(await waiting(database), 0)
})

// A certificate for 127.0.0.1, or another name, of a CA of that directory.
function certificate(dir, ca, name, forName = 'IP:127.0.0.1') {
  const file = (text) => join(dir, text)
  const make = (subject, ...more) =>
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', `/CN=${subject}`, '-keyout', file(`${subject}.key`), '-out', file(`${subject}.pem`), ...more], { stdio: 'ignore' })
  if (!existsSync(file(`${ca}.pem`))) make(ca)
  make(name, '-CA', file(`${ca}.pem`), '-CAkey', file(`${ca}.key`), '-addext', `subjectAltName=${forName}`)
  return { key: readFileSync(file(`${name}.key`)), cert: readFileSync(file(`${name}.pem`)) }
}

test('HTTPS: a receiver whose certificate is not of a trusted CA, or for another name, is sent nothing and tried again', async () => {
  const dir = ownDirectory('webhooks-')
  const db = await newDatabase()
  const good = await newReceiver(certificate(dir, 'ca', 'good'))
  const strange = await newReceiver(certificate(dir, 'stranger', 'strange'))
  const misnamed = await newReceiver(certificate(dir, 'ca', 'misnamed', 'DNS:app.example.com'))
  const enterRoom = (user) => db.sql("SELECT presence.join_room($1, 'safe', ttl => '1 h')", [user])
  const fails = (gw, n) => until(`${n} failures`, async () => (await gw.metric('webhook_failures_total')) >= n)
  // The CA is none of the system's.
  const untold = await startGateway(db)
  await hook(db, good)
  await enterRoom('ann')
  await fails(untold, 2)
  assert.equal(good.requests.length, 0)
  assert.match(untold.log, /certificate/)
  await untold.stop()
  const gw = await startGateway(db, ['--webhook-ca', join(dir, 'ca.pem')])
  const told = ['channel_occupied', 'member_added ann']
  await until('told', () => good.events.length === 2)
  assert.deepEqual(good.told('presence-room-safe'), told)
  for (const receiver of [strange, misnamed]) await hook(db, receiver)
  await enterRoom('ben')
  await fails(gw, 4)
  await until('the good one has all', () => good.events.length === 3)
  for (const receiver of [strange, misnamed]) assert.equal(receiver.requests.length, 0)
  // What waited comes to the right one.
  const right = await newReceiver(certificate(dir, 'ca', 'right'))
  await db.sql('UPDATE presence.pusher_webhook SET url = $1 WHERE url = $2', [right.url, strange.url])
  await until('told', () => right.events.length)
  assert.deepEqual(right.told('presence-room-safe').at(-1), 'member_added ben')
})

// Who is where, by what was told; each event may have come several times, in batches that are repeated.
function replay(events) {
  const here = new Set()
  const occupied = new Set()
  for (const { name, channel, user_id: user } of events) {
    if (name === 'member_added') here.add(`${channel} ${user}`)
    if (name === 'member_removed') here.delete(`${channel} ${user}`)
    if (name === 'channel_occupied') occupied.add(channel)
    if (name === 'channel_vacated') occupied.delete(channel)
  }
  return { here: [...here].sort(), occupied: [...occupied].sort() }
}

test('members come and go, gateways are killed one after the other, the receiver fails: what was told adds up', async (t) => {
  const db = await newDatabase()
  const receiver = await newReceiver()
  let n = 0
  receiver.answer = ({ response, accept }) => {
    n++
    if (n % 5 === 1) return response.writeHead(500).end()
    if (n % 5 === 2) return response.destroy() // nobody knows whether it was received
    accept()
    if (n % 5 === 3) return response.destroy()
    response.end()
  }
  await hook(db, receiver)
  let gateways = [await startGateway(db), await startGateway(db)]
  const end = Date.now() + 12_000 * slowness
  const busy = Array.from({ length: 4 }, async (_, worker) => {
    while (Date.now() < end) {
      const [user, room] = [`u${Math.floor(Math.random() * 8)}`, `storm-${Math.floor(Math.random() * 4)}`]
      // some roll back, some take their time, some change several at once
      const commit = Math.random() < 0.8 ? 'COMMIT' : 'ROLLBACK'
      const change = Math.random() < 0.5 ? `presence.join_room('${user}', '${room}', ttl => '1 h')` : `presence.leave_room('${user}', '${room}')`
      await db.sql(`BEGIN; SELECT ${change}; SELECT pg_sleep(${Math.random() * 0.05}); ${commit}`)
      await sleep(5 + worker)
    }
  })
  let kills = 0
  while (Date.now() < end) {
    await sleep(1500)
    await gateways[0].kill()
    kills++
    gateways = [gateways[1], await startGateway(db)]
  }
  await Promise.all(busy)
  await until('nothing waits', async () => (await waiting(db)) === 0, 120_000)
  const rows = (await db.sql("SELECT book_id, user_id, left_at IS NULL AS here FROM presence.room_presence")).rows
  const channel = (row) => `presence-room-${row.book_id}`
  const told = replay(receiver.events)
  assert.deepEqual(told.here, rows.filter((row) => row.here).map((row) => `${channel(row)} ${row.user_id}`).sort())
  assert.deepEqual(told.occupied, [...new Set(rows.filter((row) => row.here).map(channel))].sort())
  for (const [name, stays] of [['member_added', rows], ['member_removed', rows.filter((row) => !row.here)]]) {
    const count = (list, key) => list.reduce((sums, item) => sums.set(key(item), (sums.get(key(item)) ?? 0) + 1), new Map())
    const events = count(receiver.events.filter((event) => event.name === name), (event) => `${event.channel} ${event.user_id}`)
    for (const [key, least] of count(stays, (row) => `${channel(row)} ${row.user_id}`)) assert.ok((events.get(key) ?? 0) >= least, `${name} ${key}: ${events.get(key)} of ${least}`)
  }
  t.diagnostic(`${rows.length} stays, ${receiver.events.length} events in ${receiver.requests.length} requests, ${kills} gateways killed`)
})
