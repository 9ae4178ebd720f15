// What is true whenever it is quiet, whatever happened before.
import { readFileSync } from 'node:fs'
import { openFiles } from './clients.mjs'
import { longestLease, rooms } from './sessions.mjs'
import { sleep, slowness } from '../../gateway/test/harness.mjs'

export const timeout = 5 // presence.timeout, seconds

const stays = 'SELECT id, book_id, user_id, left_at FROM presence.room_presence'
// Only when all else is right: it would keep those whose gateway was killed.
const unheard = `SELECT cardinality(presence.touch(COALESCE(array_agg(id), '{}'))) AS unknown FROM presence.connections
	WHERE stand_in IS NULL AND user_id LIKE 'g%'`
const held = `SELECT c.book_id, c.user_id, c.connection_id, c.id, c.stand_in, c.ttl::text, clock_timestamp()::text AS now, c.last_active_at::text AS heard, c.expires_at::text,
	c.presence_id, p.joined_at::text, p.left_at FROM presence.room_presence AS p LEFT JOIN presence.connections AS c ON c.presence_id = p.id WHERE p.left_at IS NULL`
const counters = "SELECT since::text, joins - leaves - timeouts AS members, (SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL) AS open FROM presence.stats"

const difference = (name, one, other) => {
  const [only, missing] = [one.filter((key) => !other.includes(key)), other.filter((key) => !one.includes(key))]
  return only.length + missing.length ? [`${name}: too much: ${only.join(', ') || '-'}; missing: ${missing.join(', ') || '-'}`] : []
}

// Who is to be there: the users of clients that are subscribed, and nobody else.
function expected({ clients }) {
  const keys = clients.flatMap((client) => [...client.channels].filter(([, channel]) => channel.subscribed).map(([book]) => `${book} ${client.user}`))
  return [...new Set(keys)].sort()
}

async function followers(world) {
  const truth = new Map()
  const text = (members) => JSON.stringify(members.sort((a, b) => (a.user_id < b.user_id ? -1 : 1)))
  for (const room of rooms) {
    const [{ members }] = await world.server.query("SELECT members FROM presence.poll_room('reader', $1, '')", [room])
    truth.set(room, text(members))
  }
  const wrong = []
  for (const session of world.sessions) {
    for (const room of session.lists.keys()) {
      if (!session.client) await session.connect()
      const { members } = await session.follow(room)
      if (text([...members.values()]) !== truth.get(room)) wrong.push(`session ${session.number} follows ${room}: ${text([...members.values()])}; there are ${truth.get(room)}`)
    }
  }
  return wrong
}

// Gateways have the sockets of clients that are connected, and no others.
async function sockets({ gateways, clients }) {
  const here = await Promise.all(gateways.map(({ now }) => now.metric('sockets')))
  const connected = clients.filter(({ pusher }) => pusher?.connection.state === 'connected').length
  const sum = here.reduce((total, n) => total + n, 0)
  return sum === connected ? [] : [`gateways have ${here.join(' and ')} sockets of ${connected} clients`]
}

// All that is not as it is to be at this moment; what is on its way may be among it.
async function wrongs(world) {
  const rows = await world.server.query(stays)
  const open = rows.filter((row) => !row.left_at)
  const keys = open.map((row) => `${row.book_id} ${row.user_id}`).sort()
  const seats = new Map()
  for (const { book_id, user_id } of open) seats.set(book_id, [...(seats.get(book_id) ?? []), user_id].sort())
  const found = [
    ...(new Set(keys).size === keys.length ? [] : ['somebody is twice in a room']),
    ...difference('the table', keys, expected(world)),
    ...world.clients.flatMap((client) => client.wrong(seats)),
    ...difference('the listener', [...world.listener.members.values()].sort(), keys),
    ...world.listener.account(rows),
    ...(await sockets(world))
  ]
  if (found.length) return found
  const [{ unknown }] = await world.server.query(unheard)
  return unknown ? [`${unknown} connections can't be heard`] : []
}

// Waits until a check finds nothing; what it finds at last is wrong.
async function eventually(world, name, check, seconds) {
  const start = Date.now()
  let found = []
  do {
    found = await check().catch((error) => [error.message])
    if (found.length === 0) return world.say(`${name} after ${((Date.now() - start) / 1000).toFixed(1)} s`)
    await sleep(100)
  } while (Date.now() < start + seconds * 1000 * slowness)
  for (const what of found.slice(0, 8)) world.wrong(`${name}: ${what}`)
  for (const row of await world.server.query(held).catch(() => [])) world.say(JSON.stringify(row))
  for (const { now, pid } of world.gateways) world.say(`gateway ${pid}: ${(await now.get('/metrics').catch(() => '')).match(/^(?!.*_bucket)presence_gateway_\S* (?!0$)\S+$/gm)?.join(', ').replaceAll('presence_gateway_', '')}`)
  for (const { number, user, channels, pusher } of world.clients)
    world.say(`client ${number} (${user}, ${pusher?.connection.state}, ${pusher?.connection.socket_id}): ${[...channels.keys()].join(' ')}; pusher-js: ${pusher?.channels.all().map(({ name, subscribed, subscriptionPending, subscriptionCancelled }) => `${name} ${subscribed} ${subscriptionPending} ${subscriptionCancelled}`).join(', ')}`)
}

const guests = async (world) =>
  (await world.server.query("SELECT book_id || ' ' || user_id AS who FROM presence.room_presence WHERE left_at IS NULL AND user_id !~ '^g'")).map(({ who }) => `${who} stays`)

export async function count(world) {
  const [row] = await world.server.query(counters)
  return { since: row.since, rest: row.members - row.open }
}

// After a storm. slots: nobody may have been there to end leases.
export async function afterStorm(world, before, slots) {
  // A worker that found no slot is tried again every 10 seconds.
  await eventually(world, 'nobody stays past his lease', () => guests(world), Math.max(longestLease, timeout) + (slots ? 16 : 5))
  await eventually(world, 'all pictures are the table', () => wrongs(world), 45)
  await eventually(world, 'lists of changes are the table', () => followers(world), 10)
  const after = await count(world)
  if (before.since === after.since && before.rest !== after.rest) world.wrong(`the counters are off by ${after.rest - before.rest}`)
}

// Memory, files and backends, when nobody is there.
export async function measure(world) {
  const [{ used }] = await world.server.query('SELECT memory_used AS used FROM presence.memory()')
  const rows = await world.server.query(`SELECT usename AS who, count(*) AS n FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> 'harness' GROUP BY 1`)
  return {
    memory: Number(used),
    backends: Object.fromEntries(rows.map(({ who, n }) => [who, Number(n)])),
    worker: openFiles(world.server.worker()),
    gateways: world.gateways.map(({ pid }) => openFiles(pid))
  }
}

// before: as measured when all began.
export async function afterRound(world, before) {
  let now
  const more = (name, is, was, spare) => (is > was + spare ? [`${name}: ${is}, were ${was}`] : [])
  await eventually(world, 'all is given back', async () => {
    now = await measure(world)
    return [
      ...more('bytes of memory', now.memory, before.memory, 0),
      ...more('backends of gateways', now.backends.gateway, before.backends.gateway, 0),
      ...more('other backends', now.backends.postgres ?? 0, 1, 0),
      ...more('files of the worker', now.worker, before.worker, 30),
      ...now.gateways.flatMap((files, n) => more(`files of gateway ${n}`, files, before.gateways[n], 0))
    ]
  }, 30)
}

// What a log may not have. kills: PostgreSQL ends by PANIC where it can't write its WAL.
export function readLog(world, server) {
  const log = readFileSync(server.log, 'utf8')
  for (const line of log.split('\n')) {
    if (/TRAP:|signal 11|signal 7|(?:ERROR|FATAL|WARNING): .*XX\d{3}| XX\d{3} (?:ERROR|FATAL|WARNING)/.test(line)) world.wrong(`the log says: ${line}`)
    if (/PANIC|signal 6/.test(line) && !world.names.has('disk full for WAL')) world.wrong(`the log says: ${line}`)
  }
}
