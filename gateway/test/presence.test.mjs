// Rooms: what pusher-js shows is what the database has.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { apiOf, authenticate, authorize, closeAll, enter, eventsOf, memberIds, newClient, newDatabase, newSocket, sleep, slowness, startGateway, twoGateways, until } from './harness.mjs'

let database, gateway, other, quick // which does not mind how often one comes
before(async () => {
  ;({ database, gateway, other } = await twoGateways())
  quick = await startGateway(database, ['--joins-per-minute', '1000'])
})
after(closeAll)

const sign = (secret, text) => createHmac('sha256', secret).update(text).digest('hex')

const join = (user, book, info, extra = '') =>
  database.sql(`SELECT * FROM presence.join_room($1, $2, 'psql', $3 ${extra})`, [user, book, info])
const leave = (user, book) => database.sql('SELECT presence.leave_room($1, $2)', [user, book])

test('two clients see each other within 100 ms', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'test')
  assert.deepEqual(memberIds(ann), ['ann'])
  const times = []
  for (const id of ['b0', 'b1', 'b2', 'b3', 'ben']) { // the best of five: the machine may be busy
    const client = newClient(gateway, id)
    await until('connected', () => client.connection.state === 'connected')
    const start = performance.now()
    const other = await enter(client, 'test')
    await until('ann sees him', () => ann.members.get(id))
    times.push(performance.now() - start)
    assert.deepEqual(memberIds(other), ['ann', id])
    assert.deepEqual(other.members.me, { id, info: { name: id } })
    assert.deepEqual(eventsOf(ann, 'pusher:member_added').at(-1), { id, info: { name: id } })
    assert.deepEqual(await database.members('test'), ['ann', id])
    if (id === 'ben') client.disconnect() // its member lingers
    else other.unsubscribe()
    await until('he is gone', () => ann.members.count === 1)
  }
  assert.ok(Math.min(...times) < 100 * slowness, `${times}`)
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

test('a second tab with other user_info changes nothing, psql does', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'infos')
  const old = await enter(newClient(other, 'ben', { info: { name: 'Ben', device: 1 } }), 'infos')
  const tab = await enter(newClient(gateway, 'ben', { info: { device: 2, name: 'Benjamin' } }), 'infos')
  assert.deepEqual(tab.members.me.info, { name: 'Ben', device: 1 })
  await join('ben', 'infos', { n: 3 })
  for (const channel of [ann, old, tab]) await until('changed', () => channel.members.get('ben').info.n === 3)
  assert.equal(ann.members.count, 2)
  assert.equal(eventsOf(ann, 'pusher:member_added').length, 2) // ben, and what psql said
  assert.equal(eventsOf(tab, 'pusher:member_added').length, 1)
})

test('leaving and entering again at once ends as a member', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'again')
  const raw = await newSocket(quick)
  const channel = 'presence-room-again'
  const auth = authorize(raw.socket_id, channel, { user_id: 'ben' })
  for (let i = 0; i < 20; i++) {
    raw.say('pusher:subscribe', { channel, ...auth })
    raw.say('pusher:unsubscribe', { channel })
  }
  raw.say('pusher:subscribe', { channel, ...auth })
  await raw.next('pusher_internal:subscription_succeeded')
  await until('quiet', async () => (await quick.metric('joins_total')) >= 0 && (await database.members('again')).length === 2)
  await until('ann sees him', () => ann.members.count === 2)
  assert.equal(eventsOf(ann, 'pusher:member_added').length, eventsOf(ann, 'pusher:member_removed').length + 1)
  raw.socket.terminate()
  await until('gone', () => ann.members.count === 1)
})

test('a drop is never carried out after the join that follows it', async () => {
  const raw = await newSocket(quick)
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

test('who is made to leave in psql is gone at once, and his client is told with the next heartbeat', { timeout: 60_000 }, async () => {
  const db = await newDatabase({ 'presence.timeout': '3s' })
  const gw = await startGateway(db)
  const ann = await enter(newClient(gw, 'ann'), 'kick')
  const ben = await enter(newClient(gw, 'ben'), 'kick')
  await until('ben is there', () => ann.members.count === 2)
  await db.sql("SELECT presence.leave_room('ben', 'kick')")
  await until('he left', () => ann.members.count === 1)
  await until('he is told', () => eventsOf(ben, 'pusher:subscription_error').some(({ status }) => status === 403), 15_000)
  await sleep(3500) // more than a lease
  assert.deepEqual(await db.members('kick'), ['ann'])
  assert.deepEqual(eventsOf(ann, 'pusher:member_added').map(({ id }) => id), ['ben'])
  assert.deepEqual(eventsOf(ann, 'pusher:member_removed').map(({ id }) => id), ['ben'])
  assert.deepEqual(eventsOf(ben, 'pusher:member_removed'), []) // nobody hears of himself
})

test('a lost event is made good', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'resync')
  await database.sql("SET presence.notify = off; SELECT presence.join_room('eve', 'resync')")
  assert.equal(ann.members.count, 1)
  await database.notify({ event: 'resync', seq: 4000 })
  await until('eve is there', () => ann.members.count === 2, 6000) // not with the next heartbeat
  await database.sql("SET presence.notify = off; SELECT presence.leave_room('eve', 'resync')")
  await database.sql(`SELECT pg_notify('presence', 'nonsense')`)
  await until('ignored', async () => (await gateway.metric('events_refused_total')) > 0)
})

test('a secret is rotated without a restart: the one before counts for a while, a wrong one never', async () => {
  const db = await newDatabase()
  const gw = await startGateway(db)
  const raw = await newSocket(gw)
  await raw.subscribe('private-before')
  const allowed = async (secret) => {
    raw.messages.length = 0
    const channel = `private-${secret}-${Date.now()}`
    raw.say('pusher:subscribe', { channel, auth: `app-key:${sign(secret, `${raw.socket_id}:${channel}`)}` })
    await until('answer', () => raw.messages.length)
    return raw.messages[0].event === 'pusher_internal:subscription_succeeded'
  }
  assert.ok(!(await allowed('another')))
  await db.sql("UPDATE presence.pusher_app SET secret = 'another'")
  await until('the new secret is taken', () => allowed('another'), 15_000)
  assert.ok(await allowed('app-secret'))
  assert.ok(!(await allowed('neither')))
  assert.equal(raw.code, null)
})

test('an app that is removed loses its clients; that there is none at all may pass', async () => {
  const db = await newDatabase()
  await db.sql("INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('2', 'key-2', 'secret-2')")
  const gw = await startGateway(db)
  const [raw, second] = [await newSocket(gw), await newSocket(gw, '/app/key-2?protocol=7', { silent: true })]
  await second.next('pusher:connection_established')
  await db.sql("DELETE FROM presence.pusher_app WHERE app_id = '1'")
  assert.equal(await until('closed', () => raw.code, 15_000), 4001)
  assert.equal(second.code, null)
  await db.sql('DELETE FROM presence.pusher_app')
  assert.equal(await until('closed', () => second.code, 15_000), 4100)
  assert.equal(await (await newSocket(gw, undefined, { silent: true })).closed(), 4100)
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

test('a user whom the application removes is told, and not joined again; nor is a deleted book', { timeout: 60_000 }, async () => {
  const db = await newDatabase({ 'presence.timeout': '3s' })
  const gw = await startGateway(db)
  const [ann, ben] = [await newSocket(gw), await newSocket(gw)]
  await ann.subscribe('presence-room-gone', { user_id: 'ann' })
  await ben.subscribe('presence-room-gone', { user_id: 'ben' })
  await ben.subscribe('presence-room-stays', { user_id: 'ben' })
  if (!(await db.sql("SELECT to_regprocedure('presence.event_key()') IS NOT NULL AS ok")).rows[0].ok) return
  await db.sql("SELECT presence.forget_user('ben')")
  for (let i = 0; i < 2; i++) assert.equal(JSON.parse((await ben.next('pusher:subscription_error')).data).status, 403)
  await ann.next('pusher_internal:member_removed')
  await db.sql("SELECT presence.forget_book('gone')")
  assert.equal(JSON.parse((await ann.next('pusher:subscription_error')).data).status, 403)
  await sleep(4000) // more than a lease
  assert.equal((await db.sql('SELECT count(*)::int AS n FROM presence.online')).rows[0].n, 0)
  assert.equal(ben.code, null)
  await ann.subscribe('presence-room-gone', { user_id: 'ann' }) // by his own wish he may
})

test('a user is ended wherever he sits, signed in or not', async () => {
  const [gw, far] = [await startGateway(database, ['--linger', '60']), await startGateway(database, ['--linger', '60'])]
  const [one, two, three] = [await newSocket(gw), await newSocket(far), await newSocket(far)]
  await one.subscribe('presence-room-ended', { user_id: 'mallory' })
  await two.subscribe('presence-room-ended', { user_id: 'mallory' })
  await three.subscribe('presence-room-ended', { user_id: 'ann' })
  await apiOf(gw).terminateUserConnections('mallory')
  assert.equal(await one.closed(), 4009)
  assert.equal(await two.closed(), 4009)
  assert.equal(three.code, null)
  await until('gone at once', async () => (await database.members('ended')).join() === 'ann', 10_000)
})

test('who has signed in needs no channel_data', async () => {
  const raw = await newSocket(gateway)
  raw.say('pusher:signin', authenticate(raw.socket_id, { id: 'ann', user_info: { name: 'Ann' } }))
  await raw.next('pusher:signin_success')
  const channel = 'presence-room-signed'
  raw.say('pusher:subscribe', { channel, auth: `app-key:${sign('app-secret', `${raw.socket_id}:${channel}`)}` })
  assert.deepEqual(JSON.parse((await raw.next('pusher_internal:subscription_succeeded')).data).presence, { count: 1, ids: ['ann'], hash: { ann: { name: 'Ann' } } })
})

test('unsubscribe and subscribe in one turn are no leave and join for the others', async () => {
  const ann = await enter(newClient(gateway, 'ann'), 'turn')
  const raw = await newSocket(gateway)
  const channel = 'presence-room-turn'
  await raw.subscribe(channel, { user_id: 'ben' })
  await until('ben is there', () => ann.members.count === 2)
  ann.events.length = 0
  const auth = authorize(raw.socket_id, channel, { user_id: 'ben' })
  const frames = ['unsubscribe', 'subscribe'].map((what) => JSON.stringify({ event: `pusher:${what}`, data: { channel, ...auth } }))
  raw.socket._socket.cork()
  frames.forEach((frame) => raw.send(frame))
  raw.socket._socket.uncork()
  await raw.next('pusher_internal:subscription_succeeded')
  await sleep(300)
  assert.deepEqual(ann.events, [])
  assert.equal((await database.sql("SELECT connections FROM presence.room_members('turn') WHERE user_id = 'ben'")).rows[0].connections, 1)
})

test('a page that is reloaded is no leave and join, an unsubscribe is a leave at once', async () => {
  const gw = await startGateway(database, ['--linger', '4'])
  const ann = await enter(newClient(gateway, 'ann'), 'reload')
  const first = await newSocket(gw)
  await first.subscribe('presence-room-reload', { user_id: 'ben' })
  await until('ben is there', () => ann.members.count === 2)
  ann.events.length = 0
  first.socket.terminate()
  await sleep(300)
  const second = await newSocket(gw)
  await second.subscribe('presence-room-reload', { user_id: 'ben' })
  await sleep(4500)
  assert.deepEqual(ann.events, [])
  second.say('pusher:unsubscribe', { channel: 'presence-room-reload' })
  await until('he left at once', () => ann.members.count === 1, 3000) // before he would have lingered
})

test('the author is the author still, after the database was away', { timeout: 60_000 }, async () => {
  const db = await newDatabase()
  const gw = await startGateway(db)
  const raw = await newSocket(gw)
  await raw.subscribe('presence-room-writer', { user_id: 'herman' })
  await db.sql("SELECT presence.join_room('herman', 'writer', 'app', is_author => true)")
  await raw.next('room:author-joined')
  const first = (await db.sql('SELECT id FROM presence.online')).rows[0].id
  await db.sql("SELECT presence.sweep(now() + '1 hour')") // his lease ends
  await until('he is back', async () => ((await db.sql('SELECT id FROM presence.online')).rows[0]?.id ?? first) !== first, 15_000)
  const author = (await db.sql("SELECT is_author FROM presence.room_members('writer')")).rows[0].is_author
  if ((await db.sql("SELECT to_regprocedure('presence.event_key()') IS NOT NULL AS ok")).rows[0].ok) assert.equal(author, true)
})

test('half an emoji is no reason to refuse an event, too much data is one, on its channel', async () => {
  const [a, b] = [await newSocket(gateway), await newSocket(gateway)]
  for (const raw of [a, b]) await raw.subscribe('private-emoji')
  a.send('{"event":"client-half","channel":"private-emoji","data":{"text":"x\\ud83d","whole":"\\ud83d\\ude42"}}')
  assert.deepEqual((await b.next('client-half')).data, { text: 'x\ufffd', whole: '\u{1F642}' })
  a.say('client-large', 'x'.repeat(20_000), { channel: 'private-emoji' })
  const error = await a.next('pusher:error')
  assert.deepEqual([error.channel, error.data.code], ['private-emoji', 4301])
  a.say('pusher:ping', {})
  await a.next('pusher:pong')
})
