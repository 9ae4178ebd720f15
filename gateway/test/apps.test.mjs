// Apps of one database: their rooms, keys and limits.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { apiOf, closeAll, newDatabase, newSocket, startGateway, until } from './harness.mjs'

let database, gateway, skip
before(async () => {
  database = await newDatabase()
  skip = !(await database.sql("SELECT 1 FROM pg_attribute WHERE attrelid = 'presence.pusher_app'::regclass AND attname = 'room_prefix'")).rows.length
  if (skip) return
  await database.sql(`UPDATE presence.pusher_app SET room_prefix = 'one-';
    INSERT INTO presence.pusher_app (app_id, key, secret, room_prefix) VALUES ('2', 'key-2', 'secret-2', 'two-'), ('2', 'key-2b', 'secret-2b', 'two-');
    INSERT INTO presence.pusher_app (app_id, key, secret, enabled) VALUES ('3', 'key-3', 'secret-3', false);
    INSERT INTO presence.pusher_app (app_id, key, secret, client_events, max_connections, allowed_origins)
      VALUES ('4', 'key-4', 'secret-4', false, 2, '{https://good.example,*.fine.example}')`)
  gateway = await startGateway(database)
})
after(closeAll)

const signed = (secret, key, raw, channel, data) => {
  const channel_data = JSON.stringify(data)
  return { channel, channel_data, auth: `${key}:${createHmac('sha256', secret).update(`${raw.socket_id}:${channel}:${channel_data}`).digest('hex')}` }
}
async function connect(key, options) {
  const raw = await newSocket(gateway, `/app/${key}?protocol=7`, { silent: true, ...options })
  return Object.assign(raw, JSON.parse((await raw.next('pusher:connection_established')).data))
}

test('each app has its own rooms', async (t) => {
  if (skip) return t.skip('an extension without room_prefix')
  const [one, two] = [await newSocket(gateway), await connect('key-2')]
  const channel = 'presence-room-book'
  await one.subscribe(channel, { user_id: 'ann' })
  two.say('pusher:subscribe', signed('secret-2', 'key-2', two, channel, { user_id: 'ben' }))
  assert.deepEqual(JSON.parse((await two.next('pusher_internal:subscription_succeeded')).data).presence.ids, ['ben'])
  assert.deepEqual(await database.members('one-book'), ['ann'])
  assert.deepEqual(await database.members('two-book'), ['ben'])
  await database.sql("SELECT presence.join_room('zoe', 'two-book')")
  assert.equal(JSON.parse((await two.next('pusher_internal:member_added')).data).user_id, 'zoe')
  assert.ok(!one.messages.some(({ event }) => event.includes('member_added')))
  const [api1, api2] = [apiOf(gateway), apiOf(gateway, { appId: '2', key: 'key-2b', secret: 'secret-2b' })]
  const get = async (api, path, params) => (await api.get({ path, params })).json()
  assert.deepEqual((await get(api1, `/channels/${channel}/users`)).users, [{ id: 'ann' }])
  assert.deepEqual((await get(api2, `/channels/${channel}/users`)).users.map(({ id }) => id).sort(), ['ben', 'zoe'])
  assert.deepEqual(await get(api2, '/channels', { filter_by_prefix: 'presence-', info: 'user_count' }), { channels: { [channel]: { user_count: 2 } } })
})

test('keys follow one another: both count, the old one goes, the app stays', async (t) => {
  if (skip) return t.skip('an extension with one key an app')
  const old = await connect('key-2')
  old.say('pusher:subscribe', signed('secret-2b', 'key-2b', old, 'presence-room-rotate', { user_id: 'ben' })) // the server has the new one already
  await old.next('pusher_internal:subscription_succeeded')
  const fresh = await connect('key-2b')
  fresh.say('pusher:subscribe', signed('secret-2b', 'key-2b', fresh, 'presence-room-rotate', { user_id: 'cat' }))
  await fresh.next('pusher_internal:subscription_succeeded')
  await old.next('pusher_internal:member_added')
  await database.sql("DELETE FROM presence.pusher_app WHERE key = 'key-2'")
  assert.equal(await until('the old one is closed', () => old.code, 4000), 4001) // told, not found out 5 s later
  assert.equal(fresh.code, null)
})

test('a new key is known at once', async (t) => {
  if (skip) return t.skip('an extension that does not tell')
  await database.sql("INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('5', 'key-5', 'secret-5')")
  await until('let in', async () => (await newSocket(gateway, '/app/key-5?protocol=7', { silent: true })).next('pusher:connection_established', 1000).catch(() => null), 4000)
})

test('what an app may: disabled, connections, origins, client events', async (t) => {
  if (skip) return t.skip('an extension without limits of apps')
  const refusal = async (key, options) => (await newSocket(gateway, `/app/${key}?protocol=7`, { silent: true, ...options })).closed()
  assert.equal(await refusal('key-3'), 4003)
  for (const origin of ['https://evil.example', 'https://xfine.example', 'https://good.example.evil']) assert.equal(await refusal('key-4', { origin }), 4009)
  assert.equal(await refusal('key-4'), 4009)
  const raw = await connect('key-4', { origin: 'https://good.example' })
  await connect('key-4', { origin: 'https://a.fine.example' })
  assert.equal(await refusal('key-4', { origin: 'https://good.example' }), 4004)
  const channel = 'private-x'
  raw.say('pusher:subscribe', { channel, auth: `key-4:${createHmac('sha256', 'secret-4').update(`${raw.socket_id}:${channel}`).digest('hex')}` })
  await raw.next('pusher_internal:subscription_succeeded')
  raw.say('client-x', {}, { channel })
  assert.equal((await raw.next('pusher:error')).data.code, 4301)
})
