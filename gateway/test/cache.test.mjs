// Cache channels: the last event of each, whichever gateway is asked.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { apiOf, closeAll, ensureRole, newClient, newDatabase, newSocket, startGateway, twoGateways, until } from './harness.mjs'

let database, gateway, other, api
before(async () => ({ database, gateway, other, api } = await twoGateways()))
after(closeAll)

// What an unmodified pusher-js is given on a channel, in order.
function watch(gw, name) {
  const channel = newClient(gw, 'ann').subscribe(name)
  const got = []
  for (const event of ['pusher:subscription_succeeded', 'pusher:cache_miss', 'price', 'other']) channel.bind(event, (data) => got.push([event, data]))
  return got
}
const names = (got) => got.map(([event]) => event)

for (const name of ['cache-eur', 'private-cache-eur', 'private-encrypted-cache-eur'])
  test(`${name}: the last event, on any gateway, also one that is started later`, async () => {
    const raw = await newSocket(gateway)
    const subscribe = async (gw, channel = name) => {
      const client = await newSocket(gw)
      await client.subscribe(channel)
      return client
    }
    const early = await subscribe(other)
    const miss = await early.next('pusher:cache_miss')
    assert.deepEqual(miss, { event: 'pusher:cache_miss', channel: name })
    const data = { n: 1, text: 'ä 🙂 \\u0000"\\' }
    await raw.subscribe('news')
    // as any server sends it: the official one would encrypt what it can't be asked to leave
    await api.post({ path: '/events', body: { name: 'price', data: JSON.stringify(data), channels: [name, 'news'] } })
    assert.deepEqual(JSON.parse((await early.next('price')).data), data)
    await raw.next('price')
    const third = await startGateway(database)
    for (const gw of [gateway, other, third]) {
      const client = await subscribe(gw)
      const event = await client.next('price')
      assert.deepEqual({ ...event, data: JSON.parse(event.data) }, { event: 'price', channel: name, data })
      assert.deepEqual(client.messages, [])
    }
    await third.stop()
  })

test('pusher-js is given it behind subscription_succeeded, and what comes after', async () => {
  const first = watch(gateway, 'cache-js')
  await until('a miss', () => first.length === 2)
  assert.deepEqual(names(first), ['pusher:subscription_succeeded', 'pusher:cache_miss'])
  await api.trigger('cache-js', 'price', { n: 1 })
  await api.trigger('cache-js', 'other', { n: 2 })
  const second = watch(other, 'cache-js')
  await until('the last one', () => second.at(-1)?.[0] === 'other')
  await api.trigger('cache-js', 'price', { n: 3 })
  for (const got of [first, second]) await until('the newest', () => got.at(-1)[1]?.n === 3)
  assert.deepEqual(second[0], ['pusher:subscription_succeeded', {}])
  assert.deepEqual(second.slice(-2), [['other', { n: 2 }], ['price', { n: 3 }]])
})

test('a presence-cache- channel, where it is a room', async () => {
  const db = await newDatabase({ 'presence.channel_prefix': 'presence-' })
  const gw = await startGateway(db)
  const name = 'presence-cache-club'
  const ann = watch(gw, name)
  await until('a miss', () => ann.length === 2)
  assert.deepEqual(names(ann), ['pusher:subscription_succeeded', 'pusher:cache_miss'])
  await apiOf(gw).trigger(name, 'price', 7)
  const ben = watch(gw, name)
  await until('the event', () => ben.length === 2)
  assert.deepEqual(ben[1], ['price', 7])
})

test('what nobody is subscribed to is kept, and only the last of many', async () => {
  await api.triggerBatch(Array.from({ length: 10 }, (_, n) => ({ channel: 'cache-many', name: 'price', data: { n } })))
  const got = watch(other, 'cache-many')
  await until('the last one', () => got.at(-1)?.[1]?.n === 9) // others before it, if that gateway hears of them only now
})

test('two hundred that come at once get it once each', async () => {
  await api.trigger('cache-crowd', 'price', { n: 1 })
  const clients = await Promise.all(Array.from({ length: 200 }, () => newSocket(gateway)))
  for (const client of clients) client.say('pusher:subscribe', { channel: 'cache-crowd' })
  for (const client of clients) {
    await client.next('pusher_internal:subscription_succeeded')
    await client.next('price')
  }
  for (const client of clients) {
    client.say('pusher:ping', {})
    await client.next('pusher:pong')
    assert.deepEqual(client.messages, [])
    client.socket.close()
  }
})

test('who subscribes while events come misses none after his first, gets none twice, and never goes back', async () => {
  let n = 0
  let done = false
  const trigger = (async () => {
    while (!done) await api.trigger('cache-race', 'price', { n: ++n })
  })()
  const all = []
  for (let i = 0; i < 30; i++) {
    const client = await newSocket([gateway, other][i % 2])
    await client.subscribe('cache-race')
    all.push(client)
  }
  done = true
  await trigger
  for (const client of all) {
    await until('the last one', () => client.messages.some(({ data }) => JSON.parse(data ?? '{}').n === n))
    const seen = client.messages.filter(({ event }) => event === 'price').map(({ data }) => JSON.parse(data).n)
    assert.equal(seen.at(-1), n)
    assert.deepEqual(seen, Array.from({ length: n - Math.min(...seen) + 1 }, (_, i) => Math.min(...seen) + i))
    assert.ok(!client.messages.some(({ event }) => event === 'pusher:cache_miss') || Math.min(...seen) === 1)
  }
})

test('half an hour, and no longer', async () => {
  const get = async (info) => (await api.get({ path: '/channels/cache-old', params: { info } })).json()
  await api.trigger('cache-old', 'price', { n: 1 })
  const { cache, occupied } = await get('cache')
  assert.equal(occupied, false)
  assert.equal(cache.data, '{"n":1}')
  assert.ok(cache.ttl > 1790 && cache.ttl <= 1800, String(cache.ttl))
  assert.equal((await get('subscription_count')).cache, undefined)
  await database.sql("UPDATE presence.channel_cache SET expires_at = now() WHERE channel = 'cache-old'")
  assert.deepEqual(await get('cache,subscription_count'), { occupied: false, subscription_count: 0 })
  const got = watch(gateway, 'cache-old')
  await until('a miss', () => got.length === 2)
  assert.equal(got[1][0], 'pusher:cache_miss')
  assert.ok((await database.sql('SELECT presence.purge_cache() AS n')).rows[0].n >= 1)
  assert.deepEqual((await (await api.get({ path: '/channels/plain', params: { info: 'cache' } })).json()), { occupied: false })
})

test('apps do not share it, and client events are not kept', async () => {
  await database.sql("INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('2', 'key-2', 'secret-2')")
  await until('known', async () => (await apiOf(gateway, { appId: '2', key: 'key-2', secret: 'secret-2' }).get({ path: '/channels' }).catch(() => 0)).status === 200)
  await api.trigger('cache-mine', 'price', { n: 1 })
  const theirs = await newSocket(gateway, '/app/key-2?protocol=7', { silent: true })
  theirs.say('pusher:subscribe', { channel: 'cache-mine' })
  await theirs.next('pusher:cache_miss')
  const [a, b] = [await newSocket(gateway), await newSocket(gateway)]
  await a.subscribe('private-cache-talk')
  await a.next('pusher:cache_miss')
  a.say('client-price', { n: 1 }, { channel: 'private-cache-talk' })
  await b.subscribe('private-cache-talk')
  await b.next('pusher:cache_miss')
})

test('a table that is locked costs the trigger, not the heartbeats; the event is told all the same', async () => {
  const client = await newSocket(other)
  await client.subscribe('cache-lock')
  await client.next('pusher:cache_miss')
  const locked = database.sql('BEGIN; LOCK TABLE presence.channel_cache IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6); COMMIT')
  await until('locked', async () => (await database.sql("SELECT 1 FROM pg_locks WHERE relation = 'presence.channel_cache'::regclass AND mode = 'AccessExclusiveLock' AND granted")).rows.length)
  api.trigger('cache-lock', 'price', { n: 1 }).catch(() => {})
  assert.equal(JSON.parse((await client.next('price')).data).n, 1)
  assert.equal(await gateway.status('/readyz'), 200)
  await locked
})

test('strangers of the database read nothing', async () => {
  await ensureRole('nobody_s10')
  await database.sql('GRANT pg_read_all_data TO nobody_s10')
  const asNobody = (text) => database.sql(`SET ROLE nobody_s10; ${text}`)
  assert.equal((await asNobody('SELECT count(*)::int AS n FROM presence.channel_cache'))[1].rows[0].n, 0)
  await assert.rejects(asNobody("SELECT * FROM presence.cached_events('{1}', '{cache-many}')"), /permission denied/)
})
