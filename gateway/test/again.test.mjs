// Who is joined again after what the gateway did not hear, and who is not.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { closeAll, newDatabase, newSocket, sleep, startGateway, until } from './harness.mjs'

let db
before(async () => {
  db = await newDatabase({ 'presence.timeout': '6s' })
  await db.sql('CREATE TABLE reader (name text PRIMARY KEY)')
  await db.sql("CREATE TRIGGER forget AFTER DELETE ON reader FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'name')")
  await db.sql("INSERT INTO reader VALUES ('deleted')")
})
after(closeAll)

const removals = [
  ['left', "SELECT presence.leave_room('left', 'again')"],
  ['forgotten', "SELECT presence.forget_user('forgotten')"],
  ['deleted', "DELETE FROM reader WHERE name = 'deleted'"]
]
const users = ['stays', ...removals.map(([user]) => user), 'other']

// A gateway with a socket for each user in the room "again"; other is in a book that is deleted.
async function newRoom(gateway) {
  const raws = {}
  for (const user of users) {
    raws[user] = await newSocket(gateway)
    await raws[user].subscribe(`presence-room-${user === 'other' ? 'burnt' : 'again'}`, { user_id: user })
  }
  return raws
}
async function remove() {
  for (const [, sql] of removals) await db.sql(sql)
  await db.sql("SELECT presence.forget_book('burnt')")
  await db.sql("INSERT INTO reader VALUES ('deleted')")
}
const online = async () => (await db.sql('SELECT user_id FROM presence.online ORDER BY user_id')).rows.map((row) => row.user_id)
const wereTold = (raws) =>
  Promise.all(users.slice(1).map(async (user) => assert.equal(JSON.parse((await raws[user].next('pusher:subscription_error', 20_000)).data).status, 403, user)))
const cut = () =>
  db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND datname = current_database()")

async function onlyOneStays(raws, gateway) {
  await wereTold(raws)
  await until('who stays is a member', async () => (await online()).join() === 'stays')
  await sleep(2500) // more than a heartbeat
  assert.deepEqual(await online(), ['stays'])
  assert.ok(!raws.stays.messages.some(({ event }) => event === 'pusher:subscription_error'))
  await raws.left.subscribe('presence-room-again', { user_id: 'left' }) // by his own wish he may
  await until('he is back', async () => (await online()).join() === 'left,stays')
  await gateway.stop()
}

test('what was removed while nobody listened is not joined again', { timeout: 60_000 }, async () => {
  const gateway = await startGateway(db, ['--linger', '0'])
  const raws = await newRoom(gateway)
  await gateway.kill('SIGSTOP')
  await cut()
  await remove()
  await gateway.kill('SIGCONT')
  await onlyOneStays(raws, gateway)
})

test('nor after so long that all leases have ended: who was not removed is joined again', { timeout: 60_000 }, async () => {
  const gateway = await startGateway(db, ['--linger', '0'])
  const raws = await newRoom(gateway)
  const first = (await db.sql("SELECT id FROM presence.online WHERE user_id = 'stays'")).rows[0].id
  await gateway.kill('SIGSTOP')
  await cut()
  await remove()
  await until('the lease has ended', async () => (await online()).length === 0, 20_000)
  await gateway.kill('SIGCONT')
  await onlyOneStays(raws, gateway)
  assert.notEqual((await db.sql("SELECT id FROM presence.room_presence WHERE user_id = 'stays' ORDER BY id DESC LIMIT 1")).rows[0].id, first)
})

test('nor where the event was lost, though the connection was not', { timeout: 60_000 }, async () => {
  const gateway = await startGateway(db, ['--linger', '0'])
  const raws = await newRoom(gateway)
  await db.sql(`ALTER DATABASE ${db.name} SET presence.notify = off`)
  try {
    await remove()
  } finally {
    await db.sql(`ALTER DATABASE ${db.name} RESET presence.notify`)
  }
  await onlyOneStays(raws, gateway)
})
