// Watchlists: who of my friends is online, over all gateways and by whatever way he came.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { authenticate, closeAll, enter, newClient, newSocket, sleep, startGateway, twoGateways, until } from './harness.mjs'

let database, gateway, other
before(async () => ({ database, gateway, other } = await twoGateways()))
after(closeAll)

// An unmodified pusher-js that signs in with what the database signs, and what it is told.
async function watch(gw, user, watchlist) {
  const client = newClient(gw, user, {
    userAuthentication: {
      customHandler: ({ socketId }, done) =>
        database.sql("SELECT presence.pusher_authenticate_user($1, $2, NULL, 'app-key', $3) AS auth", [user, socketId, watchlist])
          .then(({ rows }) => done(null, rows[0].auth), (error) => done(error, null))
    }
  })
  const got = []
  for (const name of ['online', 'offline']) client.user.watchlist.bind(name, (event) => got.push([name, [...event.user_ids].sort()]))
  client.signin()
  await until('signed in', () => client.user.user_data)
  return { client, got }
}

test('the list at signin, then who comes and goes, on any gateway and in SQL', async () => {
  await database.sql("SELECT presence.join_room('sql', 'b1')")
  const ben = newClient(other, 'ben')
  await enter(ben, 'b1')
  const { got } = await watch(gateway, 'ann', ['ben', 'sql', 'cat', 'dan "x"\\', 'ä'])
  await until('the list', () => got.length === 2)
  assert.deepEqual(got.splice(0), [['online', ['ben', 'sql']], ['offline', ['cat', 'dan "x"\\', 'ä'].sort()]])
  for (const id of ['cat', 'dan "x"\\', 'ä']) {
    await database.sql('SELECT presence.join_room($1, $2)', [id, 'b2'])
    await until(`${id} comes`, () => got.length)
    assert.deepEqual(got.splice(0), [['online', [id]]])
    await database.sql('SELECT presence.leave_room($1, $2)', [id, 'b2'])
    await until(`${id} goes`, () => got.length)
    assert.deepEqual(got.splice(0), [['offline', [id]]])
  }
  ben.unsubscribe('presence-room-b1')
  await until('ben goes', () => got.length)
  assert.deepEqual(got.splice(0), [['offline', ['ben']]])
})

test('who is in two rooms, goes from one to another or has two tabs is online all the time', async () => {
  const { got } = await watch(other, 'ann', ['eve'])
  await until('the list', () => got.length)
  got.length = 0
  const eve = newClient(gateway, 'eve')
  await enter(eve, 'r1')
  await until('online', () => got.length)
  await enter(eve, 'r2')
  await enter(newClient(other, 'eve'), 'r2')
  eve.unsubscribe('presence-room-r1')
  await until('she left', async () => !(await database.members('r1')).length)
  eve.unsubscribe('presence-room-r2')
  await enter(newClient(gateway, 'eve'), 'r3')
  await database.sql("SELECT presence.leave_room('eve', 'r2')")
  await database.sql("SELECT presence.join_room('eve', 'last'), presence.leave_room('eve', 'r3')")
  await until('she is in the last one', async () => (await database.members('r3')).length === 0)
  await sleep(200)
  assert.deepEqual(got, [['online', ['eve']]])
  await database.sql("SELECT presence.leave_room('eve', 'last')")
  await until('offline', () => got.length === 2)
  assert.deepEqual(got[1], ['offline', ['eve']])
})

test('a hundred at most: 4302, and the signin counts', async () => {
  const raw = await newSocket(gateway)
  const ids = (n) => Array.from({ length: n }, (_, i) => `u${i}`)
  raw.say('pusher:signin', authenticate(raw.socket_id, { id: 'ann', watchlist: ids(101) }))
  assert.equal((await raw.next('pusher:error')).data.code, 4302)
  assert.ok(raw.messages.some(({ event }) => event === 'pusher:signin_success'))
  assert.equal(raw.code, null)
  const full = await newSocket(gateway)
  full.say('pusher:signin', authenticate(full.socket_id, { id: 'ann', watchlist: ids(100) }))
  const { data } = await full.next('pusher_internal:watchlist_events')
  assert.deepEqual(JSON.parse(data), { events: [{ name: 'offline', user_ids: ids(100) }] })
})

test('what is no list, or no id, is passed over', async () => {
  for (const watchlist of [null, 'x', {}, [], [null, 7, {}, '', 'x'.repeat(200)]]) {
    const raw = await newSocket(gateway)
    raw.say('pusher:signin', authenticate(raw.socket_id, { id: 'ann', watchlist }))
    await raw.next('pusher:signin_success')
    raw.say('pusher:ping', {})
    await raw.next('pusher:pong')
    assert.deepEqual(raw.messages, [])
  }
  const raw = await newSocket(gateway)
  raw.say('pusher:signin', authenticate(raw.socket_id, { id: 'ann', watchlist: ['x', 'x', 'y'] }))
  assert.deepEqual(JSON.parse((await raw.next('pusher_internal:watchlist_events')).data).events, [{ name: 'offline', user_ids: ['x', 'y'] }])
})

test('apps see those in their own rooms', async () => {
  await database.sql("INSERT INTO presence.pusher_app (app_id, key, secret, room_prefix) VALUES ('2', 'key-2', 'secret-2', 'two-')")
  const raw = await until('known', async () => {
    const socket = await newSocket(gateway, '/app/key-2?protocol=7', { silent: true })
    const hello = await socket.next('pusher:connection_established', 300).catch(() => null)
    return hello && Object.assign(socket, JSON.parse(hello.data))
  })
  const { createHmac } = await import('node:crypto')
  const user_data = JSON.stringify({ id: 'ann', watchlist: ['two'] })
  raw.say('pusher:signin', { user_data, auth: `key-2:${createHmac('sha256', 'secret-2').update(`${raw.socket_id}::user::${user_data}`).digest('hex')}` })
  await raw.next('pusher_internal:watchlist_events')
  await database.sql("SELECT presence.join_room('two', 'one-b')")
  await database.sql("SELECT presence.join_room('two', 'two-b')")
  assert.deepEqual(JSON.parse((await raw.next('pusher_internal:watchlist_events')).data).events, [{ name: 'online', user_ids: ['two'] }])
  await database.sql("SELECT presence.leave_room('two', 'two-b')") // and he is in a room of the other app still
  assert.deepEqual(JSON.parse((await raw.next('pusher_internal:watchlist_events')).data).events, [{ name: 'offline', user_ids: ['two'] }])
})

test('what happened while the database was away is told after', async () => {
  const { got } = await watch(gateway, 'ann', ['f1', 'f2'])
  await database.sql("SELECT presence.join_room('f1', 'x', ttl => '1 h')")
  await until('online', () => got.length === 2)
  got.length = 0
  await database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND datname = current_database(); SELECT presence.leave_room('f1', 'x'), presence.join_room('f2', 'x')")
  await until('both', () => got.length === 2)
  assert.deepEqual(got.sort(), [['offline', ['f1']], ['online', ['f2']]])
})

test('nothing is left when the clients are gone', async () => {
  const gw = await startGateway(database)
  const clients = []
  for (let i = 0; i < 20; i++) clients.push((await watch(gw, `w${i}`, ['a', 'b', `c${i}`])).client)
  assert.equal(await gw.metric('watched_users'), 22)
  for (const client of clients) client.disconnect()
  await until('none', async () => (await gw.metric('watched_users')) === 0)
})
