// On a node of a cluster: rooms of another node are refused, one by one, and all else goes on. The
// catalogue is one that looks like that of Citus; the cluster itself is in test/t/050_citus.pl.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { authorize, closeAll, moveShard, newDatabase, newSocket, spreadRooms, startGateway, until } from './harness.mjs'

let database, gateway
before(async () => {
  database = await newDatabase()
  await spreadRooms(database, 1, [1, 2])
  gateway = await startGateway(database)
})
after(closeAll)

const node = async (book) => (await database.sql('SELECT nodename FROM presence.room_node($1)', [book])).rows[0].nodename
const say = (raw, book, user) => {
  const channel = `presence-room-${book}`
  raw.say('pusher:subscribe', { channel, ...authorize(raw.socket_id, channel, { user_id: user }) })
}

test('a room of another node fails alone', async () => {
  assert.deepEqual([await node('here'), await node('there')], ['node1', 'node2'])
  const clients = await Promise.all(Array.from({ length: 20 }, () => newSocket(gateway)))
  clients.forEach((raw, i) => say(raw, i === 13 ? 'there' : 'here', `u${i}`))
  await Promise.all(clients.map((raw, i) => raw.next(i === 13 ? 'pusher:subscription_error' : 'pusher_internal:subscription_succeeded')))
  assert.equal((await database.members('here')).length, 19)
  assert.equal((await fetch(`http://127.0.0.1:${gateway.port}/readyz`)).status, 200)
})

test('a room that moves away takes its seats, not the others', { timeout: 60_000 }, async () => {
  const [stays, goes] = [await newSocket(gateway), await newSocket(gateway)]
  await moveShard([database], 1, 1)
  await stays.subscribe('presence-room-here', { user_id: 'ann' })
  await goes.subscribe('presence-room-there', { user_id: 'ann' })
  await moveShard([database], 1, 2)
  await goes.next('pusher:subscription_error', 40_000)
  const { rows } = await database.sql("SELECT book_id, leave_reason FROM presence.room_presence WHERE user_id = 'ann' ORDER BY 1")
  assert.deepEqual(rows, [{ book_id: 'here', leave_reason: null }, { book_id: 'there', leave_reason: 'timeout' }])
  assert.deepEqual(stays.messages.filter(({ event }) => event === 'pusher:subscription_error'), [])
  await until('its metrics', async () => /presence_gateway_database_up 1|database_up 1/.test(await (await fetch(`http://127.0.0.1:${gateway.port}/metrics`)).text()))
})
