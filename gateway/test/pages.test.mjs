// Rooms of more members than the app lists (max_listed_members): clients have the newest and the count.
import { describe, test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { closeAll, enter, eventsOf, memberIds, newClient, newDatabase, newSocket, startGateway, until } from './harness.mjs'

let database, gateway
before(async () => {
  database = await newDatabase()
  gateway = await startGateway(database, ['--linger', '0', '--max-backlog', '10000000', '--joins-per-minute', '1000'])
  await crowd('probe', 25)
})
after(closeAll)

const join = (user, room, more = '') => database.sql(`SELECT presence.join_room($1, $2, ttl => '1 h'${more})`, [user, room])
const leave = (user, room) => database.sql('SELECT presence.leave_room($1, $2)', [user, room])
// With names and pictures as they are on the web.
const crowd = (room, n) =>
  database.sql(`SELECT count(*) FROM presence.join_rooms(
      (SELECT array_agg('user-' || i ORDER BY i) FROM generate_series(1, $2) AS i), array_fill($1::text, ARRAY[$2]), NULL,
      (SELECT array_agg(jsonb_build_object('name', 'Reader ' || i, 'avatarUrl', 'https://example.com/avatars/' || i || '.png') ORDER BY i) FROM generate_series(1, $2) AS i),
      '1 h')`, [room, n])
const counts = (channel) => eventsOf(channel, 'pusher:subscription_count')

// How many members who comes now is given, of a room of 26 with him.
async function listed() {
  const raw = await newSocket(gateway)
  const { data } = await raw.subscribe('presence-room-probe', { user_id: 'ann' })
  raw.socket.close()
  return JSON.parse(data).presence.ids.length
}
async function limit(max) {
  await database.sql('UPDATE presence.pusher_app SET max_listed_members = $1', [max])
  await until('the gateway knows', async () => (await listed()) === (max === null ? 26 : Math.max(max, 1)))
}

// A client that does what docs/gateway.md says, whatever comes.
function follow(raw) {
  const known = { members: new Map(), count: 0 }
  const take = ({ count, hash }) => Object.assign(known, { count, members: new Map(Object.entries(hash)) })
  raw.socket.on('message', (text) => {
    const { event, data } = JSON.parse(text)
    const what = typeof data === 'string' && data[0] === '{' ? JSON.parse(data) : {}
    if (event === 'pusher_internal:subscription_succeeded') take(what.presence)
    if (event === 'pusher_internal:subscription_count') {
      known.count = what.subscription_count
      if (what.presence) take(what.presence)
    }
    if (event === 'pusher:member_added') known.members.set(what.id, what.info)
    if (event === 'pusher:member_removed') known.members.delete(what.id)
    if (/^pusher:member_/.test(event)) known.count = known.members.size
  })
  return known
}

const changedInfo = () => (Math.random() < 0.3 ? `, user_info => '{"n": ${Math.floor(Math.random() * 5)}}'` : '')

// They wait, mostly.
describe('10 are listed', { concurrency: true }, () => {
  before(() => limit(10))

  test('the newest, oneself and the count; then counts, in place of who comes and goes', async () => {
    await join('old', 'big')
    await crowd('big', 500)
    for (let i = 0; i < 12; i++) await join(`new-${i}`, 'big')
    const client = newClient(gateway, 'old') // a second tab of the first member
    const channel = await enter(client, 'big')
    assert.equal(channel.members.count, 513)
    assert.deepEqual(memberIds(channel), [...Array.from({ length: 10 }, (_, i) => `new-${i + 2}`), 'old'].sort())
    assert.equal(channel.members.me.id, 'old')
    const other = await enter(newClient(gateway, 'ann'), 'big')
    assert.equal(other.members.me.id, 'ann')
    assert.equal(other.members.count, 514)
    assert.equal(memberIds(other).length, 10)
    await until('ann is counted', () => channel.subscriptionCount === 514)
    const begin = Date.now()
    const { presence } = counts(channel).at(-1)
    assert.equal(presence.count, 514)
    assert.deepEqual(presence.ids, ['ann', ...Array.from({ length: 9 }, (_, i) => `new-${11 - i}`)]) // the newest first
    assert.deepEqual(Object.keys(presence.hash), presence.ids)
    assert.deepEqual(presence.hash.ann, { name: 'ann' })
    // Old ones leave: the page is what it was. A count every 5 seconds, at most.
    for (let i = 1; i <= 20; i++) await leave(`user-${i}`, 'big')
    await until('fewer', () => channel.subscriptionCount === 494)
    assert.ok(Date.now() - begin > 4000)
    assert.deepEqual(counts(channel).at(-1), { subscription_count: 494 })
    for (const name of ['pusher:member_added', 'pusher:member_removed', 'room:user-joined', 'room:user-left'])
      assert.deepEqual([channel, other].flatMap((one) => eventsOf(one, name)), [], name)
    await leave('new-11', 'big')
    await until('one less', () => channel.subscriptionCount === 493)
    assert.deepEqual(counts(channel).at(-1).presence.ids.slice(-2), ['new-3', 'new-2'])
  })

  test('who come while the room is read are the newest all the same', async () => {
    await crowd('rush', 2000)
    const sockets = await Promise.all(Array.from({ length: 30 }, () => newSocket(gateway)))
    await Promise.all(sockets.map((raw, i) => raw.subscribe('presence-room-rush', { user_id: `rush-${i}` })))
    const raw = await newSocket(gateway)
    const known = follow(raw)
    await raw.subscribe('private-watch-room-rush')
    assert.equal(known.count, 2030)
    assert.deepEqual([...known.members.keys()].filter((id) => !id.startsWith('rush-')), [])
  })

  test('who came between two counts knows what came of what he was given', async () => {
    await crowd('between', 20)
    const watch = async () => {
      const raw = await newSocket(gateway)
      const known = follow(raw)
      await raw.subscribe('private-watch-room-between')
      return known
    }
    const first = await watch()
    await join('warm', 'between')
    await until('counted', () => first.count === 21 && first.members.has('warm'))
    await join('short', 'between')
    const known = await until('a list with him', async () => {
      const now = await watch()
      return now.count === 22 && now
    })
    assert.ok(known.members.has('short'))
    await leave('short', 'between') // and all is what the others know
    await until('told', () => known.count === 21 && !known.members.has('short'), 12_000)
  })

  test('that the author comes all hear, and a member what he is now', async () => {
    await crowd('author', 50)
    const anns = await enter(newClient(gateway, 'ann'), 'author')
    const bens = await enter(newClient(gateway, 'ben'), 'author')
    await join('jane', 'author', ", is_author => true, user_info => '{\"name\": \"Jane\"}'")
    for (const channel of [anns, bens])
      await until('the author', () => eventsOf(channel, 'room:author-joined').length === 1)
    await join('ann', 'author', ", user_info => '{\"name\": \"Anna\"}'")
    await until('ann knows', () => anns.members.me.info.name === 'ann' && anns.members.get('ann').info.name === 'Anna')
    await until('counted', () => bens.subscriptionCount === 53)
    assert.deepEqual(eventsOf(bens, 'pusher:member_added'), [])
    assert.deepEqual(eventsOf(anns, 'pusher:member_added').map(({ id }) => id), ['ann'])
  })

  test('a room that grows beyond it, and shrinks: members and who watches have the right list all the time', async () => {
    const raw = await newSocket(gateway)
    const list = { whole: new Map(), count: 0, lists: 0 }
    raw.socket.on('message', (text) => {
      const { event, data } = JSON.parse(text)
      const what = typeof data === 'string' && data[0] === '{' ? JSON.parse(data) : {}
      if (event === 'pusher_internal:subscription_succeeded') {
        Object.assign(list, { whole: new Map(Object.entries(what.presence.hash)), count: what.presence.count })
        list.lists++
      }
      if (event === 'pusher:member_added') list.whole.set(what.id, what.info)
      if (event === 'pusher:member_removed') list.whole.delete(what.id)
    })
    await raw.subscribe('private-watch-room-grows')
    const channel = await enter(newClient(gateway, 'ann'), 'grows')
    for (let i = 0; i < 9; i++) await join(`u${i}`, 'grows')
    await until('all', () => channel.members.count === 10 && list.whole.size === 10)
    assert.equal(list.lists, 1)
    await join('u9', 'grows')
    await until('paged', () => channel.members.count === 11 && list.count === 11)
    assert.deepEqual(memberIds(channel), ['ann', ...Array.from({ length: 10 }, (_, i) => `u${i}`)]) // herself, too
    await until('paged', () => list.lists === 2)
    assert.ok(!list.whole.has('ann'))
    // It is so until there are clearly fewer.
    for (const user of ['u9', 'u8']) await leave(user, 'grows')
    await until('counted', () => channel.subscriptionCount === 9)
    assert.equal(list.lists, 2)
    await leave('u7', 'grows')
    await until('whole', () => channel.members.count === 8 && list.lists === 3)
    await join('back', 'grows')
    await leave('u6', 'grows')
    const there = ['ann', 'back', 'u0', 'u1', 'u2', 'u3', 'u4', 'u5']
    await until('who comes and goes is told', () => JSON.stringify(memberIds(channel)) === JSON.stringify(there))
    await until('to who watches, too', () => JSON.stringify([...list.whole.keys()].sort()) === JSON.stringify(there))
    assert.equal(channel.members.count, 8)
  })

  test('whoever comes and goes, at random: the count is that of the database, the list the whole or the newest', async (t) => {
    const watcher = await newSocket(gateway)
    const known = follow(watcher)
    await watcher.subscribe('private-watch-room-random')
    let paged = 0
    for (let round = 0; round < 4; round++) {
      const grows = round % 2 === 0
      for (let i = 0; i < 25; i++) {
        const user = `u${Math.floor(Math.random() * 20)}`
        await (Math.random() < (grows ? 0.8 : 0.25) ? join(user, 'random', changedInfo()) : leave(user, 'random'))
      }
      if (grows) for (let i = 0; i < 11; i++) await join(`u${i}`, 'random') // more than a page, whatever the dice
      const there = (await database.sql("SELECT user_id, user_info FROM presence.online WHERE book_id = 'random' ORDER BY id DESC")).rows
      const infos = (rows) => JSON.stringify(rows.map(({ user_id, user_info }) => [user_id, user_info]).sort())
      const mine = () => infos([...known.members].map(([user_id, user_info]) => ({ user_id, user_info: user_info ?? null })))
      await until(`round ${round}`, () => known.count === there.length && [infos(there), infos(there.slice(0, 10))].includes(mine()), 12_000)
        .catch((error) => assert.fail(`${error.message}: ${known.count} ${mine()}, not ${there.length} ${infos(there)}`))
      paged += known.members.size < known.count
    }
    t.diagnostic(`${paged} of 4 rounds ended with a page`)
    assert.ok(paged > 0)
  })
})

test('in force without a restart, for who is there and who comes', async () => {
  await limit(null)
  await crowd('now', 30)
  const channel = await enter(newClient(gateway, 'ann'), 'now')
  assert.equal(memberIds(channel).length, 31)
  await limit(5)
  await until('the newest', () => memberIds(channel).length === 5)
  await limit(0)
  await until('nobody', () => counts(channel).at(-1)?.presence?.ids.length === 0)
  const raw = await newSocket(gateway)
  assert.deepEqual(JSON.parse((await raw.subscribe('presence-room-now', { user_id: 'zoe' })).data).presence.ids, ['zoe'])
  await limit(null)
  await until('all', () => memberIds(channel).length === 32)
})

test('what a client is sent does not grow with the room', async (t) => {
  const sizes = [1000, 5000]
  const info = ', user_info => \'{"name": "A reader of this book", "avatarUrl": "https://example.com/avatars/1.png"}\''
  // Of its list, and of what 101 changes within some seconds bring.
  async function measure(n) {
    const raw = await newSocket(gateway)
    let bytes = 0
    raw.socket.on('message', (text) => (bytes += text.length))
    await raw.subscribe(`presence-room-size-${n}`, { user_id: 'ann', user_info: { name: 'Ann' } })
    const list = bytes
    for (let i = 0; i < 50; i++) await join(`u${i}`, `size-${n}`, info)
    for (let i = 0; i < 50; i++) await leave(`u${i}`, `size-${n}`)
    await join('last', `size-${n}`)
    await until('told', () => raw.messages.some(({ data }) => String(data).includes('"last"')), 12_000)
    raw.socket.terminate()
    await leave('last', `size-${n}`)
    return { list, changes: bytes - list }
  }
  await limit(null)
  for (const n of sizes) await crowd(`size-${n}`, n)
  const whole = await Promise.all(sizes.map(measure))
  await limit(20)
  const page = await Promise.all(sizes.map(measure))
  sizes.forEach((n, i) =>
    t.diagnostic(`${n} members: list ${whole[i].list} bytes, page ${page[i].list}; 101 changes ${whole[i].changes} bytes, counts of them ${page[i].changes}`))
  assert.ok(whole[1].list > 4 * whole[0].list)
  assert.ok(Math.abs(page[1].list - page[0].list) < 200 && page[1].list < whole[1].list / 100)
})
