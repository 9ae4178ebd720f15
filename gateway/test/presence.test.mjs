// Rooms: what pusher-js shows is what the database has.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { authorize, closeAll, enter, eventsOf, memberIds, newClient, newDatabase, newSocket, slowness, startGateway, until } from './harness.mjs'

let database, gateway, other
before(async () => {
  database = await newDatabase()
  gateway = await startGateway(database)
  other = await startGateway(database)
})
after(closeAll)

const join = (user, book, info, extra = '') =>
  database.sql(`SELECT * FROM presence.join_room($1, $2, 'psql', $3 ${extra})`, [user, book, info])
const leave = (user, book) => database.sql('SELECT presence.leave_room($1, $2)', [user, book])

test('two clients see each other within 100 ms', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'test')
  assert.deepEqual(memberIds(ann), ['ann'])
  const client = newClient(gateway, 'ben')
  await until('connected', () => client.connection.state === 'connected')
  const start = performance.now()
  const ben = await enter(client, 'test')
  await until('ann sees ben', () => ann.members.count === 2)
  assert.ok(performance.now() - start < 100 * slowness)
  assert.deepEqual(memberIds(ben), ['ann', 'ben'])
  assert.deepEqual(ben.members.me, { id: 'ben', info: { name: 'ben' } })
  assert.deepEqual(eventsOf(ann, 'pusher:member_added'), [{ id: 'ben', info: { name: 'ben' } }])
  assert.deepEqual(await database.members('test'), ['ann', 'ben'])
  client.disconnect()
  await until('ben is gone', () => ann.members.count === 1)
  await until('in the database too', async () => (await database.members('test')).length === 1)
})

test('a second tab is no event, nor is closing one of two', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'tabs')
  const first = newClient(gateway, 'ben')
  const second = newClient(other, 'ben')
  await enter(first, 'tabs')
  const tab = await enter(second, 'tabs')
  assert.deepEqual(memberIds(tab), ['ann', 'ben'])
  first.disconnect()
  await until('one connection is left', async () =>
    (await database.sql("SELECT connections FROM presence.room_members('tabs') WHERE user_id = 'ben'")).rows[0].connections === 1)
  second.disconnect()
  await until('ben is gone', () => ann.members.count === 1)
  assert.equal(eventsOf(ann, 'pusher:member_added').length, 1)
  assert.equal(eventsOf(ann, 'pusher:member_removed').length, 1)
  assert.equal(eventsOf(tab, 'pusher:member_added').length, 0)
})

test('what happens in psql appears in the browser, on each gateway', async () => {
  await join('zoe', 'psql', { name: 'Zoe' })
  const ann = await enter(newClient(gateway, 'ann'), 'psql')
  const ben = await enter(newClient(other, 'ben'), 'psql')
  assert.deepEqual(memberIds(ben), ['ann', 'ben', 'zoe'])
  await join('max', 'psql', { displayName: 'Max', image: 'https://x/max.png' })
  for (const channel of [ann, ben]) await until('max came', () => channel.members.get('max'))
  await join('max', 'psql', { displayName: 'Maximilian' })
  for (const channel of [ann, ben]) await until('max has changed', () => channel.members.get('max').info.displayName === 'Maximilian')
  assert.equal(ann.members.count, 4)
  await leave('max', 'psql')
  await leave('zoe', 'psql')
  for (const channel of [ann, ben]) await until('they left', () => channel.members.count === 2)
  assert.deepEqual(eventsOf(ben, 'room:user-joined').at(-1), { userId: 'max', displayName: 'Max', avatarUrl: 'https://x/max.png' })
  assert.deepEqual(eventsOf(ben, 'room:user-left').map(({ userId }) => userId).sort(), ['max', 'zoe'])
})

test('the author is announced', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'author')
  await join('herman', 'author', { name: 'Herman', avatarUrl: 'https://x/h.png' }, ', true')
  await until('announced', () => eventsOf(ann, 'room:author-joined').length === 1)
  assert.deepEqual(eventsOf(ann, 'room:author-joined'), [{ authorId: 'herman', authorName: 'Herman' }])
  await join('ben', 'author', { name: 'Ben' })
  await join('ben', 'author', null, ', true')
  await until('announced', () => eventsOf(ann, 'room:author-joined').length === 2)
})

test('a tab with other user_info changes it for all, its own included', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'infos')
  const old = await enter(newClient(other, 'ben', { info: { name: 'Ben', n: 1 } }), 'infos')
  const tab = await enter(newClient(gateway, 'ben', { info: { n: 2, name: 'Benjamin' } }), 'infos')
  assert.deepEqual(tab.members.me.info, { n: 2, name: 'Benjamin' })
  for (const channel of [ann, old]) await until('changed', () => channel.members.get('ben').info.n === 2)
  assert.equal(ann.members.count, 2)
  await join('ben', 'infos', { n: 3 })
  for (const channel of [ann, old, tab]) await until('changed again', () => channel.members.get('ben').info.n === 3)
  assert.equal(eventsOf(tab, 'pusher:member_added').length, 1)
})

test('leaving and entering again at once ends as a member', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'again')
  const raw = await newSocket(gateway)
  const channel = 'presence-room-again'
  const auth = authorize(raw.socket_id, channel, { user_id: 'ben' })
  for (let i = 0; i < 20; i++) {
    raw.say('pusher:subscribe', { channel, ...auth })
    raw.say('pusher:unsubscribe', { channel })
  }
  raw.say('pusher:subscribe', { channel, ...auth })
  await raw.next('pusher_internal:subscription_succeeded')
  await until('quiet', async () => (await gateway.metric('joins_total')) >= 0 && (await database.members('again')).length === 2)
  await until('ann sees him', () => ann.members.count === 2)
  assert.equal(eventsOf(ann, 'pusher:member_added').length, eventsOf(ann, 'pusher:member_removed').length + 1)
  raw.socket.terminate()
  await until('gone', () => ann.members.count === 1)
})

test('a drop is never carried out after the join that follows it', async () => {
  const raw = await newSocket(gateway)
  const [first, second] = ['presence-room-order1', 'presence-room-order2']
  const auth = (channel) => ({ channel, ...authorize(raw.socket_id, channel, { user_id: 'ben' }) })
  const entered = () => raw.next('pusher_internal:subscription_succeeded')
  for (const channel of [first, second]) {
    raw.say('pusher:subscribe', auth(channel))
    await entered()
  }
  for (let i = 0; i < 40; i++) {
    raw.say('pusher:unsubscribe', { channel: first })
    await new Promise((resolve) => setImmediate(resolve)) // its drop is under way
    raw.say('pusher:unsubscribe', { channel: second })
    raw.say('pusher:subscribe', auth(second))
    await entered()
    raw.say('pusher:subscribe', auth(first))
    await entered()
    const { rows } = await database.sql("SELECT book_id FROM presence.user_rooms('ben') WHERE book_id LIKE 'order%'")
    assert.equal(rows.length, 2, `round ${i}`)
  }
})

test('many at once, in many rooms: all lists add up', async () => {
  const clients = await Promise.all(Array.from({ length: 60 }, (_, i) => newSocket(i % 2 ? gateway : other)))
  const lists = clients.map(() => new Map())
  clients.forEach((raw, i) => {
    const channel = `presence-room-many${i % 3}`
    raw.socket.on('message', (text) => {
      const { event, data } = JSON.parse(text)
      const value = data && JSON.parse(data)
      if (event === 'pusher_internal:subscription_succeeded') for (const id of value.presence.ids) assert.ok(!lists[i].has(id)), lists[i].set(id, 1)
      if (event === 'pusher_internal:member_added') assert.ok(!lists[i].has(value.user_id)), lists[i].set(value.user_id, 1)
      if (event === 'pusher_internal:member_removed') assert.ok(lists[i].delete(value.user_id))
    })
    raw.say('pusher:subscribe', { channel, ...authorize(raw.socket_id, channel, { user_id: `u${i}`, user_info: { i } }) })
  })
  await until('all see all', () => lists.every((list) => list.size === 20))
  for (let i = 0; i < 60; i += 2) clients[i].socket.terminate()
  await until('half of them left', () => lists.every((list, i) => i % 2 === 0 || list.size === 10))
  assert.equal((await database.members('many1')).length, 10)
  assert.ok((await gateway.metric('join_batches_total')) < (await gateway.metric('joins_total')))
})

test('who is made to leave in psql comes back while his client is there', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'kick')
  const ben = await enter(newClient(gateway, 'ben'), 'kick')
  await until('ben is there', () => ann.members.count === 2)
  await leave('ben', 'kick')
  await until('he left', () => ann.members.count === 1)
  await until('he is back', () => ann.members.count === 2, 15_000)
  await leave('ann', 'kick')
  await until('he sees her leave', () => eventsOf(ben, 'pusher:member_removed').length === 1)
  // Nobody hears of himself.
  assert.deepEqual(eventsOf(ann, 'pusher:member_removed').map(({ id }) => id), ['ben'])
  assert.deepEqual(eventsOf(ben, 'pusher:member_removed').map(({ id }) => id), ['ann'])
  assert.deepEqual(eventsOf(ben, 'pusher:member_added'), [])
})

test('a lost event is made good', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'resync')
  await database.sql("SET presence.notify = off; SELECT presence.join_room('eve', 'resync')")
  assert.equal(ann.members.count, 1)
  await database.sql(`SELECT pg_notify('presence', '{"event":"resync","seq":1}')`)
  await until('eve is there', () => ann.members.count === 2, 3000) // not with the next heartbeat
  await database.sql("SET presence.notify = off; SELECT presence.leave_room('eve', 'resync')")
  await database.sql(`SELECT pg_notify('presence', 'nonsense')`)
  await until('eve is gone', () => ann.members.count === 1, 3000)
})

test('a secret is rotated without a restart, an app that is removed loses its clients', async () => {
  const db = await newDatabase()
  const gw = await startGateway(db)
  const raw = await newSocket(gw)
  await raw.subscribe('private-before')
  await db.sql("UPDATE presence.pusher_app SET secret = 'another'")
  await until('the old secret is refused', async () => {
    raw.messages.length = 0
    raw.say('pusher:subscribe', { channel: `private-${Date.now()}`, ...authorize(raw.socket_id, `private-${Date.now()}`) })
    await until('answer', () => raw.messages.length)
    return raw.messages[0].event === 'pusher:subscription_error'
  }, 15_000)
  assert.equal(raw.code, null)
  await db.sql('DELETE FROM presence.pusher_app')
  assert.equal(await until('closed', () => raw.code, 15_000), 4001)
})

test('a join that the database refuses fails alone', async () => {
  const db = await newDatabase()
  const gw = await startGateway(db)
  await db.sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF new.user_id = 'bad' THEN RAISE 'not him'; END IF; RETURN new; END $$`)
  await db.sql('CREATE TRIGGER refuse BEFORE INSERT ON presence.room_presence FOR EACH ROW EXECUTE FUNCTION refuse()')
  const clients = await Promise.all(Array.from({ length: 20 }, () => newSocket(gw)))
  clients.forEach((raw, i) => {
    const channel = 'presence-room-refuse'
    raw.say('pusher:subscribe', { channel, ...authorize(raw.socket_id, channel, { user_id: i === 13 ? 'bad' : `u${i}` }) })
  })
  await Promise.all(clients.map((raw, i) => raw.next(i === 13 ? 'pusher:subscription_error' : 'pusher_internal:subscription_succeeded')))
  await until('the others are members', async () => (await db.members('refuse')).length === 19)
})
