// What a database can do to a gateway: locks, privileges, settings, connections that break.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import pg from 'pg'
import { apiOf, atEnd, closeAll, enter, eventsOf, hook, memberIds, newClient, newDatabase, newReceiver, newSocket, ownDirectory, sleep, startGateway, until } from './harness.mjs'

process.env.PGHOST = process.env.OUTAGES_PGHOST ?? process.env.PGHOST // a server that nobody else needs
const dir = ownDirectory('gw-outages-')
let database
before(async () => {
  database = await newDatabase()
})
after(closeAll)

async function session(db = database) {
  const client = new pg.Client({ database: db.name })
  client.on('error', () => {})
  await client.connect()
  atEnd(() => client.end().catch(() => {}))
  return client
}
const backends = async (db) =>
  (await database.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1 AND application_name = 'presence-gateway'", [db.name])).rows[0].n
const ready = async (gateway) => (await gateway.status('/readyz')) === 200

test('a table that is locked: heartbeats go on, no backend piles up, all is as before after', { timeout: 120_000 }, async (t) => {
  const db = await newDatabase({ 'presence.timeout': '6s' })
  const gateway = await startGateway(db)
  const rooms = await Promise.all(Array.from({ length: 5 }, (_, i) => enter(newClient(gateway, `u${i}`), 'locked')))
  await until('all are there', () => rooms.every((room) => room.members.count === 5))
  rooms.forEach((room) => (room.events.length = 0))
  const open = await session(db)
  await open.query('BEGIN; LOCK TABLE presence.room_presence IN SHARE ROW EXCLUSIVE MODE')
  const late = newClient(gateway, 'late').subscribe('presence-room-locked')
  let most = 0
  for (let i = 0; i < 28; i++) { // more than two leases
    most = Math.max(most, await backends(db))
    await sleep(500)
  }
  t.diagnostic(`${most} backends at most`)
  assert.ok(most <= 8, `${most} backends`)
  assert.ok(!late.subscribed)
  await open.query('ROLLBACK')
  await until('who came late is in', () => late.subscribed, 15_000)
  assert.deepEqual(rooms.flatMap((room) => eventsOf(room, 'pusher:member_removed')), [])
  assert.equal((await db.members('locked')).length, 6)
})

test('a grant that is revoked: not ready, clients are told, restored with the grant', { timeout: 60_000 }, async () => {
  const db = await newDatabase()
  const gateway = await startGateway(db, ['--admin-listen', `unix:${dir}/admin`])
  const ann = await enter(newClient(gateway, 'ann'), 'revoked')
  const name = (await db.sql("SELECT oid::regprocedure::text AS f FROM pg_proc WHERE proname = 'join_rooms'")).rows[0].f
  await db.sql(`REVOKE EXECUTE ON FUNCTION ${name} FROM gateway, PUBLIC`)
  await until('degraded', () => eventsOf(ann, 'presence:degraded').length >= 1, 15_000)
  assert.match(gateway.log, /permission denied/)
  const late = newClient(gateway, 'late').subscribe('presence-room-revoked')
  await sleep(1000)
  assert.ok(!late.subscribed)
  assert.deepEqual(memberIds(ann), ['ann'])
  await db.sql(`GRANT EXECUTE ON FUNCTION ${name} TO gateway`)
  await until('restored', () => eventsOf(ann, 'presence:restored').length >= 1, 15_000)
  await until('who waited is in', () => late.subscribed)
})

test('a grant on heartbeats that is revoked is seen too', { timeout: 60_000 }, async () => {
  const db = await newDatabase({ 'presence.timeout': '3s' })
  const gateway = await startGateway(db)
  await enter(newClient(gateway, 'ann'), 'beats')
  assert.ok(await ready(gateway))
  await db.sql('REVOKE EXECUTE ON FUNCTION presence.touch(bigint[]) FROM gateway, PUBLIC')
  await until('not ready', async () => !(await ready(gateway)))
  assert.equal(await gateway.status('/livez'), 200)
  await db.sql('GRANT EXECUTE ON FUNCTION presence.touch(bigint[]) TO gateway')
  await until('ready', () => ready(gateway))
})

test('a server that becomes read-only is left for another', { timeout: 60_000 }, async () => {
  const db = await newDatabase()
  const gateway = await startGateway(db)
  const ann = await enter(newClient(gateway, 'ann'), 'readonly')
  await db.sql(`ALTER SYSTEM SET default_transaction_read_only = on`)
  await db.sql('SELECT pg_reload_conf()')
  atEnd(async () => {})
  try {
    await until('degraded', () => eventsOf(ann, 'presence:degraded').length >= 1, 20_000)
    assert.equal(await gateway.status('/readyz'), 503)
    assert.match(gateway.log, /read-only/)
  } finally {
    const admin = await session(db)
    await admin.query('SET default_transaction_read_only = off')
    await admin.query('ALTER SYSTEM RESET default_transaction_read_only')
    await admin.query('SELECT pg_reload_conf()')
  }
  await until('restored', () => eventsOf(ann, 'presence:restored').length >= 1, 20_000)
})

test('presence.timeout that is raised loses nobody', { timeout: 60_000 }, async () => {
  const db = await newDatabase({ 'presence.timeout': '6s' })
  const gateway = await startGateway(db)
  const ann = await enter(newClient(gateway, 'ann'), 'raised')
  const first = (await db.sql('SELECT id FROM presence.online')).rows
  await db.sql(`ALTER DATABASE ${db.name} SET presence.timeout = '120s'`)
  await db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND query LIKE '%current_setting%' AND datname = current_database()")
  await sleep(9000) // more than the lease that it has
  assert.deepEqual((await db.sql('SELECT id FROM presence.online')).rows, first)
  assert.deepEqual(eventsOf(ann, 'pusher:member_removed'), [])
})

test('the API says 200 when the others are told, and nothing is lost as connections break', { timeout: 120_000 }, async () => {
  const [gateway, other] = [await startGateway(database), await startGateway(database)]
  const api = apiOf(gateway)
  const raw = await newSocket(other)
  await raw.subscribe('counted')
  const got = new Set()
  raw.socket.on('message', (text) => {
    const { event, data } = JSON.parse(text)
    if (event === 'n') got.add(Number(JSON.parse(data).n))
  })
  const said = new Set()
  let running = true
  const breaking = (async () => {
    while (running) {
      await database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND query LIKE '%pg_notify%' AND datname = current_database()")
      await sleep(700)
    }
  })()
  for (let n = 0; n < 150; n++) {
    const { status } = await api.trigger('counted', 'n', { n, pad: 'x'.repeat(5000) }).catch((error) => error)
    if (status === 200) said.add(n)
    await sleep(20)
  }
  running = false
  await breaking
  assert.ok(said.size > 50, `${said.size}`)
  // The listener of the other one may have been ended as well: what was said while it was away can't come.
  const missing = () => [...said].filter((n) => !got.has(n)).length
  const allowed = () => (other.log.match(/database lost/g) ?? []).length * 10
  await until('all came', () => missing() <= allowed()).catch(() => assert.fail(`${missing()} of ${said.size} are missing`))
})

test('the connection that joins and reads breaks again and again: nobody waits for ever', { timeout: 90_000 }, async () => {
  const gateway = await startGateway(database)
  await database.sql("INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at) SELECT 'u' || n, 'breaks-' || n % 30, now(), now() FROM generate_series(1, 30000) n")
  const others = await Promise.all(Array.from({ length: 30 }, () => newSocket(gateway)))
  let running = true
  const breaking = (async () => {
    while (running) {
      await database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND query ~ 'join_rooms|presence.online' AND datname = current_database()")
      await sleep(30)
    }
  })()
  const asked = others.map((other, i) => other.subscribe(`presence-room-breaks-${i}`, { user_id: `reader${i}` }))
  await sleep(3000)
  running = false
  await breaking
  await Promise.all(asked)
  assert.ok((await gateway.metric('database_line_losses_total')) > 0)
  assert.ok(others.every(({ code }) => code === null))
})

// Ways in which nothing that a gateway asks for is done, but what keeps it connected; each returns what ends it.
const outages = {
  async 'connections that end while they wait'(db) {
    const open = await session(db)
    await open.query('BEGIN; LOCK TABLE presence.room_presence, presence.channel_cache, presence.webhook_event, presence.webhook_channel, presence.gateway_channel IN ACCESS EXCLUSIVE MODE')
    return async () => {
      const waiting = "datname = current_database() AND application_name = 'presence-gateway' AND wait_event_type = 'Lock'"
      const all = async () => (await db.sql(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE ${waiting}`)).rows[0].n
      await until('several wait', async () => (await all()) >= 3)
      await db.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${waiting}`)
      await sleep(1000)
      await open.query('ROLLBACK')
    }
  },
  async 'calls that are refused'(db) {
    await db.sql(`DO $$ DECLARE f regprocedure; BEGIN
      FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'presence'::regnamespace AND proname NOT IN ('pusher_apps', 'event_key', 'shards', 'touch')
      LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM gateway, PUBLIC', f); END LOOP; END $$`)
    return async () => {
      await sleep(3000)
      await db.sql("SELECT presence.grant_gateway('gateway')")
    }
  }
}
for (const [how, begin] of Object.entries(outages))
  test(`what a gateway asks for is done in the end: ${how}`, { timeout: 90_000 }, async () => {
    const db = await newDatabase()
    const receiver = await newReceiver()
    await hook(db, receiver, ['client_event', 'member_added'])
    const gateway = await startGateway(db, ['--linger', '0'])
    await apiOf(gateway).trigger('cache-asked', 'price', { n: 1 })
    const [ann, ben, late] = await Promise.all([newSocket(gateway), newSocket(gateway), newSocket(gateway)])
    for (const [raw, user_id] of [[ann, 'ann'], [ben, 'ben']]) await raw.subscribe('presence-room-asked', { user_id })
    await ann.subscribe('private-asked')
    const end = await begin(db)
    ben.socket.close()
    const asked = ['cache-asked', 'presence-room-asked'].map((channel) => late.subscribe(channel, { user_id: 'late' }))
    ann.say('client-wave', { n: 1 }, { channel: 'private-asked' })
    await end()
    await Promise.all(asked)
    await late.next('price')
    await until('who came is a member, who went is none', async () => (await db.members('asked')).join() === 'ann,late')
    await until('the webhook is told', () => receiver.told('private-asked').includes('client_event'))
    assert.equal(ann.code, null)
  })
