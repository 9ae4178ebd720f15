// A gateway on two nodes of a cluster: rooms are where their node is, and one that is away leaves the
// others alone. The nodes are two databases whose catalogues look like those of Citus; a cluster
// itself is in test/t/050_citus.pl.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  admin, apiOf, authorize, closeAll, enter, eventsOf, hook, memberIds, moveShard, newClient, newDatabase, newReceiver, newSocket, ownDirectory, sleep,
  spreadRooms, startGateway, until
} from './harness.mjs'

// One node, of rooms whose halves are on the first two.
async function newNode(number) {
  const node = await newDatabase({ 'presence.timeout': '6s' })
  await spreadRooms(node, number, [0, 1])
  await node.sql(`SELECT setval(s.oid::regclass, (${number}::bigint << 48) + 1, false) FROM pg_class AS s WHERE s.relnamespace = 'presence'::regnamespace AND s.relkind = 'S'`)
  node.conninfo = `host=${process.env.PGHOST} user=gateway dbname=${node.name}`
  return node
}
// A node that is away: no connection is left, and none comes.
const away = (node) => admin(`ALTER DATABASE ${node.name} ALLOW_CONNECTIONS false`)
  .then(() => admin('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [node.name]))
const back = (node) => admin(`ALTER DATABASE ${node.name} ALLOW_CONNECTIONS true`)

const start = async (nodes, args = []) => {
  const gateway = await startGateway(nodes[0], ['--linger', '0', '--joins-per-minute', '1000', ...nodes.slice(1).flatMap(({ conninfo }) => ['--database', conninfo]), ...args])
  await until('all are there', async () => (await gateway.status('/readyz')) === 200)
  return gateway
}
const open = async (node, room) => (await node.sql('SELECT user_id FROM presence.room_presence WHERE book_id = $1 AND left_at IS NULL ORDER BY 1', [room])).rows.map((row) => row.user_id)
// Two rooms, of the first node and of the second one, that no other test has.
let number = 0
async function newRooms() {
  const { rows } = await nodes[0].sql("SELECT min(name) FILTER (WHERE hashtext(name) >= 0) AS here, min(name) FILTER (WHERE hashtext(name) < 0) AS there FROM (SELECT 'room-' || $1::text || '-' || n AS name FROM generate_series(1, 30) AS n) AS names", [++number])
  return [rows[0].here, rows[0].there]
}
const told = (channel) => channel.events.map(({ event }) => event).filter((event) => /^presence:/.test(event))

let nodes, gateway
before(async () => {
  nodes = [await newNode(0), await newNode(1)]
  gateway = await start(nodes)
})
after(closeAll)

test('a room is joined on its node, heard from there, and left there', async () => {
  const client = newClient(gateway, 'ann')
  const rooms = await newRooms()
  const [here, there] = [await enter(client, rooms[0]), await enter(client, rooms[1])]
  assert.deepEqual(await Promise.all(nodes.flatMap((node) => rooms.map((room) => open(node, room)))), [['ann'], [], [], ['ann']])
  for (const [at, room] of rooms.entries()) await nodes[at].sql('SELECT presence.join_room($1, $2)', ['sql', room])
  for (const channel of [here, there]) await until('sql has come', () => eventsOf(channel, 'pusher:member_added').length === 1)
  for (const channel of [here, there]) assert.deepEqual(memberIds(channel), ['ann', 'sql'])
  client.unsubscribe(`presence-room-${rooms[1]}`)
  await until('she has left', async () => (await open(nodes[1], rooms[1])).join() === 'sql')
  client.disconnect()
  await until('she has left', async () => (await open(nodes[0], rooms[0])).join() === 'sql')
})

test('300 at once into 40 rooms: each on its node, once; heartbeats hold them beyond their leases', async () => {
  const rooms = Array.from({ length: 40 }, (_, i) => `many-${i}`)
  const sockets = await Promise.all(Array.from({ length: 300 }, () => newSocket(gateway)))
  await Promise.all(sockets.map((raw, i) => raw.subscribe(`presence-room-${rooms[i % 40]}`, { user_id: `u${i}` })))
  const { rows } = await nodes[0].sql('SELECT book_id, hashtext(book_id) < 0 AS second FROM unnest($1::text[]) AS book_id', [rooms])
  assert.ok(rows.some(({ second }) => second) && rows.some(({ second }) => !second))
  const check = async () => {
    for (const [at, node] of nodes.entries()) {
      const mine = rows.filter(({ second }) => second === (at === 1)).map(({ book_id }) => book_id)
      const counts = await node.sql("SELECT book_id, count(*)::int AS n FROM presence.room_presence WHERE book_id LIKE 'many-%' AND left_at IS NULL GROUP BY 1", [])
      assert.deepEqual(counts.rows.map(({ book_id, n }) => `${book_id} ${n < 9 && n > 6}`).sort(), mine.map((book) => `${book} true`).sort())
    }
  }
  await check()
  await sleep(9000)
  await check()
  const unique = async (node) => (await node.sql("SELECT count(*)::int AS n FROM presence.room_presence WHERE book_id LIKE 'many-%'")).rows[0].n
  assert.equal((await unique(nodes[0])) + (await unique(nodes[1])), 300) // nobody was joined twice
  for (const raw of sockets) raw.socket.terminate()
})

test('the HTTP API and watchlists tell of both nodes', async () => {
  const [near, far] = await newRooms()
  const nearChannel = `presence-room-${near}`, farChannel = `presence-room-${far}`
  const api = apiOf(gateway)
  const get = async (path, params) => (await api.get({ path, params })).json()
  await enter(newClient(gateway, 'ann'), near)
  await enter(newClient(gateway, 'ann'), far)
  await enter(newClient(gateway, 'ben'), far)
  const infos = (await get('/channels', { filter_by_prefix: 'presence-room-', info: 'user_count,subscription_count' })).channels
  assert.deepEqual(infos[nearChannel], { user_count: 1, subscription_count: 1 })
  assert.deepEqual(infos[farChannel], { user_count: 2, subscription_count: 2 })
  assert.deepEqual(await get(`/channels/${farChannel}`, { info: 'user_count,subscription_count' }), { occupied: true, user_count: 2, subscription_count: 2 })
  assert.deepEqual(await get(`/channels/${nearChannel}`, { info: 'user_count' }), { occupied: true, user_count: 1 })
  assert.deepEqual(await get('/channels/presence-room-nobody', { info: 'user_count' }), { occupied: false, user_count: 0 })
  assert.deepEqual((await get(`/channels/${farChannel}/users`)).users.map(({ id }) => id).sort(), ['ann', 'ben'])
  const raw = await newSocket(gateway)
  await raw.subscribe('private-chat')
  assert.deepEqual(await get('/channels/private-chat', { info: 'subscription_count' }), { occupied: true, subscription_count: 1 })
  assert.deepEqual((await get('/channels', { filter_by_prefix: 'private-' })).channels, { 'private-chat': {} })

  const signed = (await nodes[0].sql("SELECT presence.pusher_authenticate_user('eve', $1, NULL, 'app-key', '{ann,ben,cat}') AS auth", [raw.socket_id])).rows[0].auth
  raw.say('pusher:signin', signed)
  const next = async () => JSON.parse((await raw.next('pusher_internal:watchlist_events')).data).events
  const first = await next()
  assert.deepEqual(first.find(({ name }) => name === 'online').user_ids.sort(), ['ann', 'ben'])
  const cat = newClient(gateway, 'cat')
  await enter(cat, near)
  assert.deepEqual(await next(), [{ name: 'online', user_ids: ['cat'] }])
  await enter(cat, far)
  cat.unsubscribe(nearChannel)
  await until('she has left', async () => !(await open(nodes[0], near)).includes('cat'))
  cat.unsubscribe(farChannel)
  assert.deepEqual(await next(), [{ name: 'offline', user_ids: ['cat'] }])
})

test('webhooks of both nodes are delivered', async () => {
  const [near, far] = await newRooms()
  const nearChannel = `presence-room-${near}`, farChannel = `presence-room-${far}`
  const receiver = await newReceiver()
  for (const node of nodes) await hook(node, receiver, ['member_added'])
  await until('it is known', async () => {
    await nodes[0].sql("SELECT presence.join_room('first', $1), presence.leave_room('first', $1)", [near])
    await sleep(100)
    return receiver.of(nearChannel).length
  })
  await nodes[1].sql("SELECT presence.join_room('second', $1)", [far])
  await until('told', () => receiver.of(farChannel).length)
  assert.deepEqual(receiver.told(farChannel), ['member_added second'])
  for (const node of nodes) await node.sql('DELETE FROM presence.pusher_webhook')
})

test('an event counts if it is signed by the node of its room', async () => {
  const [, far] = await newRooms()
  const farChannel = `presence-room-${far}`
  const channel = await enter(newClient(gateway, 'ann'), far)
  const before = await gateway.metric('events_refused_total')
  const forged = (n) => ({ event: 'member_added', seq: 1000 + n, channel: farChannel, book_id: far, user_id: `forged-${n}`, presence_id: n, user_info: null, is_author: false, at: '2026-01-01T00:00:00Z' })
  // the other node's key, where the room is; and the right key, where it is not
  await nodes[1].notify(forged(1), nodes[0].sql)
  await nodes[0].notify(forged(2))
  await nodes[1].notify(forged(3))
  await until('the last one', () => memberIds(channel).includes('forged-3'))
  assert.deepEqual(memberIds(channel).filter((id) => /forged/.test(id)), ['forged-3'])
  assert.equal((await gateway.metric('events_refused_total')) - before, 1)
})

test('a node that is away: its rooms are degraded, the others go on, and all is right when it is back', async () => {
  const [near, far] = await newRooms()
  const farChannel = `presence-room-${far}`
  const [ann, ben] = [newClient(gateway, 'ann'), newClient(gateway, 'ben')]
  const rooms = { here: await enter(ann, near), there: await enter(ann, far) }
  await enter(ben, far)
  await nodes[1].sql("SELECT presence.join_room('goes', $1, ttl => '1 h')", [far])
  await until('he is seen', () => memberIds(rooms.there).includes('goes'))
  await away(nodes[1])
  await until('degraded', () => told(rooms.there).length)
  assert.equal(await gateway.status('/readyz'), 503)
  assert.equal(await gateway.metric('database_up'), 0)
  assert.equal(await gateway.metric('node_up{node="node0:5432"}'), 1)
  assert.equal(await gateway.metric('node_up{node="node1:5432"}'), 0)
  const api = apiOf(gateway)
  assert.equal((await api.get({ path: '/channels/private-x' })).status, 200)
  await assert.rejects(api.get({ path: `/channels/${farChannel}` }), { status: 503 }) // all are asked
  // what has gone out is not refused: who gets an error triggers again
  const info = 'user_count,subscription_count'
  const triggered = await api.trigger([farChannel, 'public-x'], 'news', '1', { info })
  assert.equal(triggered.status, 200)
  assert.deepEqual(await triggered.json(), { channels: { [farChannel]: {}, 'public-x': {} } })
  const batch = await api.triggerBatch([{ channel: farChannel, name: 'news', data: '2', info }, { channel: 'public-x', name: 'news', data: '3' }])
  assert.deepEqual(await batch.json(), { batch: [{}, {}] })
  await until('events', () => eventsOf(rooms.there, 'news').length === 2)
  // the first node's rooms know nothing of it
  await enter(newClient(gateway, 'new'), near)
  await until('seen', () => memberIds(rooms.here).includes('new'))
  const late = newClient(gateway, 'late').subscribe(farChannel) // waits
  ben.disconnect()
  await sleep(1000)
  assert.equal(late.subscribed, false)
  await back(nodes[1])
  await nodes[1].sql("SELECT presence.leave_room('goes', $1)", [far])
  await until('restored', () => told(rooms.there).at(-1) === 'presence:restored')
  await until('late', () => late.subscribed)
  await until('the list', () => memberIds(rooms.there).join() === 'ann,late', 45_000)
  assert.deepEqual(memberIds(late), ['ann', 'late'])
  assert.deepEqual(await open(nodes[1], far), ['ann', 'late'])
  assert.deepEqual(told(rooms.here), [])
  assert.equal(eventsOf(rooms.there, 'pusher:member_removed').filter(({ id }) => id === 'ann').length, 0)
  assert.equal(await gateway.status('/readyz'), 200)
})

test('home is away: the rooms of the other node live on, who comes into a new one waits', async () => {
  const [, far] = await newRooms()
  const client = newClient(gateway, 'ann')
  const there = await enter(client, far)
  await away(nodes[0])
  await until('degraded', () => told(there).length)
  await nodes[1].sql("SELECT presence.join_room('sql', $1, ttl => '1 h')", [far])
  await until('still heard', () => memberIds(there).includes('sql'))
  await enter(newClient(gateway, 'next'), far)
  await sleep(8000) // longer than a lease
  assert.deepEqual(await open(nodes[1], far), ['ann', 'next', 'sql'])
  const waits = newClient(gateway, 'ann').subscribe('presence-room-a-new-one')
  await sleep(500)
  assert.equal(waits.subscribed, false)
  await back(nodes[0])
  await until('restored', () => told(there).at(-1) === 'presence:restored')
  await until('subscribed', () => waits.subscribed)
  assert.deepEqual(told(there), ['presence:degraded', 'presence:restored'])
})

test('a room that moves takes all with it; members, who watches, and who comes meanwhile', async () => {
  const [near, far] = await newRooms()
  const watcher = await newSocket(gateway)
  await watcher.subscribe(`private-watch-room-${far}`)
  const [ann, ben] = [newClient(gateway, 'ann'), newClient(gateway, 'ben')]
  const [there, here] = [await enter(ann, far), await enter(ann, near)]
  await enter(ben, far)
  await moveShard(nodes, 1, 0)
  const cat = newClient(gateway, 'cat')
  await enter(cat, far)
  await until('all are there', async () => (await open(nodes[0], far)).join() === 'ann,ben,cat', 15_000)
  await until('all are gone there', async () => (await open(nodes[1], far)).length === 0)
  await until('the list', () => memberIds(there).join() === 'ann,ben,cat')
  // it is heard where it is
  await nodes[0].sql("SELECT presence.join_room('dan', $1)", [far])
  await until('dan', () => memberIds(there).includes('dan'))
  await until('who watches', () => watcher.messages.some(({ event, data }) => event === 'pusher:member_added' && data.includes('"dan"')))
  assert.ok(there.subscribed && here.subscribed)
  assert.deepEqual(told(here), [])
  cat.disconnect()
  await until('cat has left', async () => !(await open(nodes[0], far)).includes('cat'))
  // and back
  await moveShard(nodes, 1, 1)
  await until('all are back', async () => (await open(nodes[1], far)).join() === 'ann,ben', 15_000)
  await until('the list', () => memberIds(there).join() === 'ann,ben')
})

test('events lost on one node: its rooms are read again', async () => {
  const [near, far] = await newRooms()
  const [here, there] = [await enter(newClient(gateway, 'ann'), near), await enter(newClient(gateway, 'ann'), far)]
  const resyncs = await gateway.metric('resyncs_total')
  for (const [at, room] of [near, far].entries()) await nodes[at].sql("SELECT presence.join_room('sql', $1, ttl => '1 h')", [room])
  for (const channel of [here, there]) await until('sql', () => memberIds(channel).includes('sql'))
  for (const [at, room] of [near, far].entries()) // without an event
    await nodes[at].sql(`SET session_replication_role = replica; UPDATE presence.room_presence SET user_info = '{"n": 2}' WHERE user_id = 'sql' AND book_id = '${room}'`)
  await nodes[1].notify({ event: 'resync', seq: 5000, at: '2026-01-01T00:00:00Z' })
  await until('read again', async () => (await gateway.metric('resyncs_total')) === resyncs + 1)
  await until('it is seen', () => there.members.get('sql').info?.n === 2)
  assert.equal(here.members.get('sql').info?.n, undefined)
})

test('a node without a --database: its rooms are refused, and join when it is named', { timeout: 120_000 }, async () => {
  const two = [await newNode(0), await newNode(1)]
  const third = await newNode(2)
  const config = join(ownDirectory('nodes-'), 'gateway.conf')
  const write = (list) => writeFileSync(config, list.map(({ conninfo }) => `database=${conninfo}\n`).join(''))
  await moveShard([...two, third], 1, 2)
  write(two)
  const own = await startGateway(two[0], ['--config', config], { conninfo: null })
  await until('both are there', async () => (await own.status('/readyz')) === 200)
  const refused = await newSocket(own)
  refused.say('pusher:subscribe', { channel: 'presence-room-there', ...authorize(refused.socket_id, 'presence-room-there', { user_id: 'ann' }) })
  const here = await enter(newClient(own, 'ann'), 'here')
  assert.equal(JSON.parse((await refused.next('pusher:subscription_error', 30_000)).data).status, 500)
  assert.match(own.log, /room there is on node node2:5432, which no --database is of/)
  write([...two, third])
  own.kill('SIGHUP')
  const there = await enter(newClient(own, 'ben'), 'there')
  assert.deepEqual(await open(third, 'there'), ['ben'])
  // and a node that is left: its rooms have moved before
  await moveShard([...two, third], 1, 0)
  await until('moved', async () => (await open(two[0], 'there')).join() === 'ben')
  write(two)
  own.kill('SIGHUP')
  await until('left', () => own.log.includes('is left'))
  await until('gone', async () => (await admin('SELECT FROM pg_stat_activity WHERE datname = $1 AND usename = $2', [third.name, 'gateway'])).rowCount === 0)
  assert.equal(await own.status('/readyz'), 200)
  assert.deepEqual([memberIds(there), memberIds(here)], [['ben'], ['ann']])
  await own.stop()
})

test('it stops with nothing left behind on either node', async () => {
  const [near, far] = await newRooms()
  const own = await start(nodes)
  const client = newClient(own, 'last')
  await enter(client, near)
  await enter(client, far)
  await own.stop()
  await until('gone', async () => (await Promise.all(nodes.map((node, i) => open(node, [near, far][i])))).every((list) => !list.includes('last')), 20_000)
})
