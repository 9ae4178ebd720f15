// Bad days: each is done to a gateway while an honest client measures its own round trips.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import pg from 'pg'
import WebSocket from 'ws'
import {
  apiOf, authorize, closeAll, cpuSeconds, dial, during as duringDay, ensureRole, enter, eventsOf, newClient, newDatabase, newSocket, residentMb, sleep,
  slowness, startGateway, until
} from './harness.mjs'

let database, hasKey, idle
before(async () => {
  database = await newDatabase()
  idle = await startGateway(database)
  hasKey = (await database.sql("SELECT to_regprocedure('presence.event_key()') IS NOT NULL AS ok")).rows[0].ok
})
after(closeAll)

const during = (t, gateway, bad) => duringDay(t, gateway, idle, bad)

const cpuOf = async (gateway, ms) => {
  const before = cpuSeconds(gateway.child.pid)
  await sleep(ms)
  return (cpuSeconds(gateway.child.pid) - before) / (ms / 1000)
}

test('320 connections that say nothing, at --max-sockets 10', { timeout: 60_000 }, async (t) => {
  const gateway = await startGateway(database, ['--max-sockets', '10'])
  await during(t, gateway, async () => {
    const idle = await Promise.all(Array.from({ length: 320 }, () => dial(gateway)))
    const log = gateway.log.length
    const cpu = await cpuOf(gateway, 3000)
    assert.ok(cpu < 0.3 * slowness, `${cpu} of a CPU`)
    assert.ok(gateway.log.length - log < 5000, `${gateway.log.length - log} bytes of log`)
    const late = await newSocket(gateway) // those who said nothing make room
    assert.ok(late.socket_id)
    idle.forEach(({ socket }) => socket.destroy())
  })
})

test('no more files: those it has are served, the database too', { timeout: 60_000 }, async (t) => {
  const gateway = await startGateway(database, [], { wrap: ['prlimit', '--nofile=150:150'] })
  await during(t, gateway, async () => {
    const idle = await Promise.all(Array.from({ length: 400 }, () => dial(gateway)))
    const cpu = await cpuOf(gateway, 2000)
    assert.ok(cpu < 0.3 * slowness, `${cpu} of a CPU`)
    await database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND query LIKE '%touch%' AND datname = current_database()")
    idle.forEach(({ socket }) => socket.destroy())
    await newSocket(gateway)
  })
})

test('a wrong key does not take the place of a client', async (t) => {
  const gateway = await startGateway(database, ['--max-sockets', '10'])
  await during(t, gateway, async () => {
    await Promise.all(Array.from({ length: 30 }, () => newSocket(gateway, '/app/wrong?protocol=7', { silent: true })))
    for (let i = 0; i < 9; i++) await newSocket(gateway)
  })
})

test('one address has its share of connections', async (t) => {
  const gateway = await startGateway(database, ['--max-per-address', '20'])
  await during(t, gateway, async () => {
    const all = await Promise.all(Array.from({ length: 40 }, () => dial(gateway).catch(() => ({ closed: true }))))
    await until('the others are closed', () => all.filter(({ closed }) => closed).length >= 21)
    assert.match(gateway.log, /--max-per-address/)
    all.forEach(({ socket }) => socket?.destroy())
    await until('they are counted', async () => (await gateway.metric('refusals_total{reason="address"}')) >= 20)
  })
})

test('300 bodies, a byte now and then', { timeout: 60_000 }, async (t) => {
  const gateway = await startGateway(database)
  await during(t, gateway, async () => {
    const memory = residentMb(gateway.child.pid)
    const all = await Promise.all(Array.from({ length: 300 }, (_, i) => dial(gateway, `POST /${i % 2 ? 'nowhere' : 'apps/1/events'} HTTP/1.1\r\nHost: x\r\nContent-Length: 524288\r\n\r\n`)))
    for (let i = 0; i < 5; i++) {
      all.forEach((raw) => raw.closed || raw.write('x'.repeat(1000)))
      await sleep(200)
    }
    assert.ok(residentMb(gateway.child.pid) - memory < 10 * slowness, `${residentMb(gateway.child.pid) - memory} MB`)
    all.forEach(({ socket }) => socket.destroy())
  })
})

test('a subscription toggled in a loop', { timeout: 60_000 }, async (t) => {
  const gateway = await startGateway(database)
  const watcher = await enter(newClient(gateway, 'watcher'), 'toggled')
  const raw = await newSocket(gateway)
  const channel = 'presence-room-toggled'
  const auth = authorize(raw.socket_id, channel, { user_id: 'toggler' })
  await during(t, gateway, async () => {
    const end = Date.now() + 2000
    while (Date.now() < end && raw.code === null) {
      raw.say('pusher:subscribe', { channel, ...auth })
      await sleep(0)
      raw.say('pusher:unsubscribe', { channel })
      await sleep(0)
    }
    await sleep(500)
  })
  const { rows } = await database.sql("SELECT count(*)::int AS n FROM presence.room_presence WHERE user_id = 'toggler'")
  t.diagnostic(`${rows[0].n} rows of history, ${watcher.events.length} events to the watcher`)
  assert.ok(rows[0].n <= 35, `${rows[0].n} rows`)
  assert.ok(watcher.events.length <= 4 * 35, `${watcher.events.length} events`)
})

for (const [what, send] of [
  ['pings', (socket) => socket.send('{"event":"pusher:ping","data":{}}')],
  ['pings of WebSocket', (socket) => socket.ping()],
  ['malformed messages', (socket) => socket.send('{')],
  ['empty fragments', (socket, i) => socket.send(i ? '' : '{', { fin: false })],
  ['messages that are too large', (socket) => socket.send('x'.repeat(300_000))]
])
  test(`a flood of ${what} costs the sender its socket`, { timeout: 60_000 }, async (t) => {
    const gateway = await startGateway(database)
    await during(t, gateway, async () => {
      for (let n = 0; n < 3; n++) {
        const raw = await newSocket(gateway)
        raw.socket.on('message', () => {})
        for (let i = 0; raw.code === null && i < 20_000; i++) {
          if (raw.socket.readyState === WebSocket.OPEN) send(raw.socket, i)
          if (i % 50 === 0) await sleep(1)
        }
        assert.ok([4100, 1009, 1006, 1002].includes(await raw.closed()), String(raw.code))
      }
    })
  })

test('a slow reader of a large room costs nobody else', { timeout: 60_000 }, async (t) => {
  const gateway = await startGateway(database, ['--max-backlog', '200000'])
  await database.sql(`SELECT presence.join_rooms(array_agg('u' || i), array_agg('big'::text), array_agg('c'::text), array_agg(jsonb_build_object('name', 'Reader ' || i)), '1 hour') FROM generate_series(1, 5000) AS i`)
  await during(t, gateway, async () => {
    const memory = residentMb(gateway.child.pid)
    const all = await Promise.all(Array.from({ length: 40 }, () => newSocket(gateway)))
    for (const [i, raw] of all.entries()) {
      raw.socket._socket.pause()
      const channel = 'presence-room-big'
      raw.say('pusher:subscribe', { channel, ...authorize(raw.socket_id, channel, { user_id: `slow${i}` }) })
    }
    await sleep(2000)
    assert.ok(residentMb(gateway.child.pid) - memory < 15 * slowness, `${residentMb(gateway.child.pid) - memory} MB`)
    const quick = await newSocket(gateway)
    const { data } = await quick.subscribe('presence-room-big', { user_id: 'quick' })
    assert.equal(JSON.parse(data).presence.count >= 5001, true)
    all.forEach(({ socket }) => socket.terminate())
  })
})

/*
 * Another role of the database
 */

async function stranger() {
  await ensureRole('stranger')
  const client = new pg.Client({ database: database.name, user: 'stranger' })
  client.heard = []
  client.on('notification', ({ channel, payload }) => client.heard.push({ channel, payload }))
  client.on('error', () => {})
  await client.connect()
  return client
}

test('junk notifications cause no work', { timeout: 60_000 }, async (t) => {
  const gateway = await startGateway(database)
  await enter(newClient(gateway, 'ann'), 'junk')
  const role = await stranger()
  const before = await gateway.metric('resyncs_total')
  await during(t, gateway, async () => {
    for (let i = 0; i < 200; i++) await role.query("SELECT pg_notify('presence', $1)", [i % 2 ? 'junk' : '{"event":"resync","seq":1}'])
    for (let i = 0; i < 200; i++) await role.query("SELECT pg_notify('presence_gateway', $1)", [`0123456789abcdef ${i} 1 1/1 ${'0'.repeat(64)} {}`])
    await sleep(1500)
  })
  const resyncs = (await gateway.metric('resyncs_total')) - before
  assert.ok(resyncs <= (hasKey ? 0 : 4), `${resyncs} resyncs`)
  await role.end()
})

test('forged and replayed notifications reach no browser', { timeout: 60_000 }, async (t) => {
  if (!hasKey) return t.skip('an extension without presence.event_key()')
  const gateway = await startGateway(database, ['--linger', '0'])
  const ann = await enter(newClient(gateway, 'ann'), 'forged')
  const role = await stranger()
  await role.query('LISTEN presence')
  const forged = { event: 'member_added', seq: 999_999_999, channel: 'presence-room-forged', book_id: 'forged', user_id: 'mallory', user_info: { name: 'The Author' }, is_author: true, presence_id: 1 }
  for (const payload of [forged, { ...forged, mac: '0'.repeat(32) }]) await role.query("SELECT pg_notify('presence', $1)", [JSON.stringify(payload)])
  await database.sql("SELECT presence.join_room('ben', 'forged')")
  await until('ben came', () => ann.members.get('ben'))
  await database.sql("SELECT presence.leave_room('ben', 'forged')")
  await until('ben left', () => !ann.members.get('ben'))
  await until('heard', () => role.heard.filter(({ payload }) => payload.includes('"ben"')).length >= 2)
  const events = ann.events.length
  for (const { payload } of [...role.heard]) await role.query("SELECT pg_notify('presence', $1)", [payload])
  await sleep(500)
  assert.equal(ann.events.length, events)
  assert.deepEqual(eventsOf(ann, 'room:author-joined'), [])
  assert.ok((await gateway.metric('events_refused_total')) > 3)
  await role.end()
})

test('a message between gateways is not taken twice', { timeout: 60_000 }, async () => {
  const [gateway, other] = [await startGateway(database), await startGateway(database)]
  const role = await stranger()
  await role.query('LISTEN presence_gateway')
  const raw = await newSocket(other)
  await raw.subscribe('news')
  await apiOf(gateway).trigger('news', 'once', 'x')
  await raw.next('once')
  const recorded = await until('recorded', () => role.heard.filter(({ payload }) => !payload.startsWith('echo')).length && role.heard.filter(({ payload }) => !payload.startsWith('echo')))
  const refused = await other.metric('bus_refused_total')
  for (const { payload } of recorded) await role.query("SELECT pg_notify('presence_gateway', $1)", [payload])
  await until('refused', async () => (await other.metric('bus_refused_total')) === refused + recorded.length)
  await apiOf(gateway).trigger('news', 'last', 'x')
  await raw.next('last')
  assert.ok(!raw.messages.some(({ event }) => event === 'once'))
  await role.end()
})

/*
 * One transaction of the application
 */

test('an open transaction holds up one join, and nobody else', { timeout: 90_000 }, async (t) => {
  const db = await newDatabase({ 'presence.timeout': '6s' })
  const [gateway, quiet] = [await startGateway(db), await startGateway(db)]
  const rooms = await Promise.all(Array.from({ length: 10 }, (_, i) => enter(newClient(gateway, `u${i}`), 'open')))
  await until('all are there', () => rooms.every((room) => room.members.count === 10))
  rooms.forEach((room) => (room.events.length = 0))
  const open = new pg.Client({ database: db.name })
  await open.connect()
  await open.query("BEGIN; SELECT presence.join_room('victim', 'x', 'app')")
  const victim = newClient(gateway, 'victim').subscribe('presence-room-x')
  await duringDay(t, gateway, quiet, () => sleep(10_000)) // more than a lease
  assert.ok(!victim.subscribed)
  assert.deepEqual(rooms.flatMap((room) => room.events.map(({ event }) => event)), [])
  assert.equal((await db.members('open')).length, 10)
  const backends = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'presence-gateway'"
  const { n } = (await db.sql(backends)).rows[0]
  assert.ok(n <= 12, `${n} backends of two gateways`)
  await open.query('COMMIT')
  await open.end()
  await until('the victim is in', () => victim.subscribed)
})
