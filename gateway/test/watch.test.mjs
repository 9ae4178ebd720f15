// Watching a room without being in it: private-watch-room-{book}, for whom the application lets.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { authorize, closeAll, enter, newClient, newSocket, startGateway, twoGateways, until } from './harness.mjs'

let database, gateway, other, api
before(async () => ({ database, gateway, other, api } = await twoGateways()))
after(closeAll)

// An unmodified pusher-js whose auth route lets it watch, or not.
async function watch(gw, book, may = true) {
  const client = newClient(gw, 'mod', {
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) =>
        database.sql("SELECT presence.pusher_authorize_channel('mod', $1, $2, watch => $3) AS auth", [socketId, channelName, may])
          .then(({ rows }) => done(null, rows[0].auth), (error) => done(error, null))
    }
  })
  const channel = client.subscribe(`private-watch-room-${book}`)
  const got = []
  channel.bind_global((event, data) => got.push([event, data]))
  await until('an answer', () => got.length)
  return { client, channel, got }
}

test('the list, who comes and goes, and all that is said in the room, on any gateway', async () => {
  for (const [gw, book] of [[gateway, 'w1'], [other, 'w2']]) { // each its own: what the other gateway hears late would come again
    const ann = await enter(newClient(gateway, 'ann', { info: { name: 'Ann' } }), book)
    const { client, got } = await watch(gw, book)
    assert.deepEqual(got.splice(0), [['pusher:subscription_succeeded', { presence: { count: 1, ids: ['ann'], hash: { ann: { name: 'Ann' } } } }]])
    const ben = newClient(other, 'ben', { info: { name: 'Ben' } })
    const bens = await enter(ben, book)
    await until('told', () => got.length === 2)
    assert.deepEqual(got.splice(0), [['pusher:member_added', { id: 'ben', info: { name: 'Ben' } }], ['room:user-joined', { userId: 'ben', displayName: 'Ben', avatarUrl: null }]])
    await api.trigger(`presence-room-${book}`, 'note', { page: 1 })
    await until('the event', () => got.length === 1)
    bens.trigger('client-wave', { n: 1 })
    await until('the client event', () => got.length === 2)
    assert.deepEqual(got.splice(0), [['note', { page: 1 }], ['client-wave', { n: 1 }]])
    await database.sql(`SELECT presence.join_room('ben', '${book}', user_info => '{"name": "Benny"}')`)
    await until('the change', () => got.length === 1)
    assert.deepEqual(got.splice(0), [['pusher:member_added', { id: 'ben', info: { name: 'Benny' } }]])
    await database.sql(`SELECT presence.leave_room('ben', '${book}', '')`)
    ben.unsubscribe(`presence-room-${book}`)
    await until('gone', () => got.length === 2)
    assert.deepEqual(got.splice(0), [['pusher:member_removed', { id: 'ben' }], ['room:user-left', { userId: 'ben' }]])
    await until('ann knows, too', () => ann.members.count === 1)
    client.disconnect()
  }
})

test('who watches is no member, and nobody hears of him', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'quiet')
  const { channel } = await watch(gateway, 'quiet')
  await watch(other, 'quiet')
  assert.deepEqual(await database.members('quiet'), ['ann'])
  assert.equal((await (await api.get({ path: '/channels/presence-room-quiet', params: { info: 'user_count,subscription_count' } })).json()).user_count, 1)
  channel.trigger('client-psst', {})
  await api.trigger('presence-room-quiet', 'last', 1)
  await until('the last one', () => ann.events.some(({ event }) => event === 'last'))
  assert.deepEqual(ann.events.map(({ event }) => event), ['pusher:subscription_succeeded', 'last'])
  const { rows } = await database.sql("SELECT count(*)::int AS n FROM presence.room_presence WHERE user_id = 'mod'")
  assert.equal(rows[0].n, 0)
})

test('a room that nobody is in, or nobody here', async () => {
  const { got } = await watch(other, 'empty')
  assert.deepEqual(got.splice(0), [['pusher:subscription_succeeded', { presence: { count: 0, ids: [], hash: {} } }]])
  await database.sql("SELECT presence.join_room('sql', 'empty')")
  await until('told', () => got.length === 2)
  assert.deepEqual(got[0], ['pusher:member_added', { id: 'sql' }])
})

test('the application decides who may; a signature of another channel does not do', async () => {
  const { got } = await watch(gateway, 'w', false)
  assert.equal(got[0][0], 'pusher:subscription_error')
  const raw = await newSocket(gateway)
  raw.say('pusher:subscribe', { channel: 'private-watch-room-w', auth: (await database.sql("SELECT presence.pusher_auth_signature($1, 'presence-room-w', $2) AS auth", [raw.socket_id, '{"user_id":"mod"}'])).rows[0].auth, channel_data: '{"user_id":"mod"}' })
  assert.equal(JSON.parse((await raw.next('pusher:subscription_error')).data).status, 401)
})

test('a watch that is toggled in a loop is refused for a while, and costs nothing else', async () => {
  const raw = await newSocket(gateway)
  const channel = 'private-watch-room-toggled'
  for (let i = 0; i < 40; i++) {
    raw.say('pusher:subscribe', { channel, ...authorize(raw.socket_id, channel) })
    raw.say('pusher:unsubscribe', { channel })
  }
  assert.equal(JSON.parse((await raw.next('pusher:subscription_error')).data).status, 429)
  raw.say('pusher:ping', {})
  await raw.next('pusher:pong')
})

test('what happened while the database was away is told after; nothing is left at the end', async () => {
  const gw = await startGateway(database)
  await database.sql("SELECT presence.join_room('f1', 'away', ttl => '1 h')")
  const { client, got } = await watch(gw, 'away')
  got.length = 0
  await database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND datname = current_database(); SELECT presence.leave_room('f1', 'away'), presence.join_room('f2', 'away')")
  await until('both', () => ['pusher:member_added', 'pusher:member_removed'].every((name) => got.some(([event]) => event === name)))
  assert.deepEqual(got.filter(([event]) => event.startsWith('pusher:member')).sort(), [['pusher:member_added', { id: 'f2' }], ['pusher:member_removed', { id: 'f1' }]])
  client.unsubscribe('private-watch-room-away')
  await until('the room is forgotten', async () => (await gw.metric('rooms')) === 0)
})
