// Sessions of an application: few users, few rooms, short leases, so that everybody meets everybody.
import { Random } from './random.mjs'
import { pg } from './server.mjs'
import { sleep } from '../../gateway/test/harness.mjs'

export const rooms = ['r1', 'r2', 'r3', 'r4', '@1;chat'] // the last one has no history
export const forgettable = ['u9', 'u10']
export const longestLease = 2 // seconds
const users = Array.from({ length: 10 }, (_, n) => `u${n + 1}`)

const weights = {
  join: 30, info: 10, leave: 20, leaveAll: 8, touch: 15, poll: 5, changes: 20, drop: 6, batch: 8, beats: 5, count: 5, list: 5, sweep: 1, forget: 1,
  transaction: 25
}

// One call, as [SQL, values].
const calls = {
  join: (user, room, tab, random) => ["SELECT presence.join_room($1, $2, $3, ttl => $4)", [user, room, tab, `${random.between(1, longestLease)} s`]],
  info: (user, room, tab, random) => ['SELECT presence.join_room($1, $2, $3, $4, $5, $6, $7)',
    [user, room, tab, JSON.stringify({ n: random.between(1, 3) }), random.chance(0.5), '2 s', random.pick([null, 5, 20])]],
  leave: (user, room, tab) => ['SELECT presence.leave_room($1, $2, $3)', [user, room, tab]],
  leaveAll: (user, room) => ['SELECT presence.leave_room($1, $2)', [user, room]],
  touch: (user, room, tab) => ['SELECT presence.touch_room($1, $2, $3)', [user, room, tab]],
  poll: (user, room, tab) => ['SELECT presence.poll_room($1, $2, $3)', [user, room, tab]],
  changes: (user, room, tab) => ['SELECT presence.poll_room_changes($1, $2, $3)', [user, room, tab]],
  drop: (user, room, tab) => ["SELECT presence.drop_connections(array_agg(connection)) FROM presence.join_room($1, $2, $3, ttl => '1 s')", [user, room, tab]],
  beats: () => ["SELECT presence.touch(array_agg(id)) FROM presence.connections WHERE user_id LIKE 'u%' HAVING count(*) > 0", []],
  batch: (user, room, tab, random) => ["SELECT count(*) FROM presence.join_rooms($1, $2, $3, NULL, '2 s', skip_locked => $4)",
    [[user, random.pick(users), user], [room, room, random.pick(rooms)], [tab, tab, 'b'], random.chance(0.5)]],
  count: (user, room) => ['SELECT presence.member_count($1)', [room]],
  list: (user, room) => ['SELECT count(*) FROM presence.room_members($1)', [room]],
  sweep: () => ['SELECT presence.sweep()', []],
  forget: (user, room, tab, random) => ['SELECT presence.forget_user($1)', [random.pick(forgettable)]]
}

function someCall(random, kind) {
  return calls[kind](random.pick(users), random.pick(rooms), random.pick(['t1', 't2', '']), random)
}

// The statements of one transaction, all chosen before the first one runs; no SQL: milliseconds to wait. (Where the
// clock steps, pg_sleep takes an hour.)
function transaction(random, name) {
  const { transaction: _, forget: __, sweep: ___, ...inner } = weights
  const level = random.pick(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])
  const statements = [[`BEGIN ISOLATION LEVEL ${level}`]]
  let depth = 0
  for (let n = random.between(1, 6); n > 0; n--) {
    const what = random.weighted({ call: 10, savepoint: 3, back: depth && 2, release: depth && 1, wait: 1 })
    if (what === 'call') statements.push(someCall(random, random.weighted(inner)))
    if (what === 'savepoint') statements.push([`SAVEPOINT s${++depth}`])
    if (what === 'back') statements.push([`ROLLBACK TO s${depth}`])
    if (what === 'release') statements.push([`RELEASE s${depth--}`])
    if (what === 'wait') statements.push([null, random.between(10, 200)])
  }
  statements.push([random.weighted({ COMMIT: 6, ROLLBACK: 3, [`PREPARE TRANSACTION '${name}-${random.between(0, 1)}'`]: 2 })])
  return statements
}

export class Session {
  constructor(world, number) {
    Object.assign(this, { world, number, done: 0, failed: {}, lists: new Map() })
  }

  async connect() {
    const client = new pg.Client({ ...this.world.server.connection, application_name: 'session', connectionTimeoutMillis: 5000, statement_timeout: 4000 })
    client.on('error', () => {})
    client.on('end', () => {
      if (this.client === client) this.client = null
    })
    try {
      await client.connect()
    } catch (error) {
      client.connection?.stream?.destroy()
      throw error
    }
    this.client = client
  }

  // Until the storm is over. What it chooses depends on seed, storm and count alone.
  async run(storm) {
    for (let n = 0; !this.world.calm; n++) {
      const random = new Random(this.world.seed, storm, 'session', this.number, n)
      try {
        if (!this.client) await this.connect()
        await this.step(random, `${storm}-${this.number}-${n}`)
        this.done++
      } catch (error) {
        await this.fail(error)
      }
      await sleep(random.between(0, 20))
    }
  }

  async step(random, name) {
    const kind = random.weighted(weights)
    if (kind === 'transaction') return await this.transact(transaction(random, name))
    if (kind === 'changes') return await this.follow(random.pick(rooms))
    const [sql, values] = someCall(random, kind)
    await this.query(sql, values)
  }

  async transact(statements) {
    for (const [sql, values] of statements) await (sql ? this.query(sql, values) : sleep(values))
  }

  query(sql, values) {
    return this.world.limited(`session ${this.number}: ${sql}`, this.client.query(sql, values))
  }

  // Keeps a list as the manual says.
  async follow(room) {
    const list = this.lists.get(room) ?? { version: null, members: new Map() }
    const { version, members, added, removed } = (await this.query("SELECT * FROM presence.poll_room_changes('reader', $1, '', $2)", [room, list.version])).rows[0]
    if (members) list.members.clear()
    for (const user of removed ?? []) list.members.delete(user)
    for (const member of members ?? added ?? []) list.members.set(member.user_id, member)
    list.version = version
    this.lists.set(room, list)
    return list
  }

  async fail(error) {
    this.failed[error.code ?? error.message] = (this.failed[error.code ?? error.message] ?? 0) + 1
    this.world.judge(error, `session ${this.number}`)
    if (!this.client) return await sleep(50)
    await this.client.query('ROLLBACK').catch(() => this.drop())
  }

  drop() {
    this.client?.connection.stream.destroy()
    this.client = null
  }

  async close() {
    const client = this.client
    this.client = null
    await client?.end().catch(() => {})
  }
}
