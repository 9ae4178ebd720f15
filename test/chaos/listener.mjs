// A listener that knows the rooms by events, as the manual says, and notes what it was told.
import { createHmac } from 'node:crypto'
import { pg } from './server.mjs'
import { forgettable } from './sessions.mjs'
import { sleep } from '../../gateway/test/harness.mjs'

const open = 'SELECT id, book_id, user_id FROM presence.online'
const all = 'SELECT id, left_at IS NOT NULL AS past FROM presence.room_presence'

export class Listener {
  constructor(world) {
    Object.assign(this, { world, members: new Map(), ended: false, resyncs: 0, periods: 0 })
    this.begin()
  }

  // What is told from here on is whole, until a resync or a lost connection.
  begin() {
    Object.assign(this, { key: null, before: new Map(), added: new Map(), removed: new Map(), mayGo: new Set(), ready: false, kept: [] })
    this.periods++
  }

  async run() {
    while (!this.ended) {
      try {
        await this.listen()
        if (this.client) await new Promise((resolve) => this.client.once('end', resolve))
      } catch (error) {
        this.world.judge(error, 'the listener')
        this.client?.connection.stream.destroy()
        await sleep(100)
      }
    }
  }

  async listen() {
    const client = new pg.Client({ ...this.world.server.connection, application_name: 'listener', connectionTimeoutMillis: 5000, keepAlive: true })
    client.on('error', () => client.connection?.stream?.destroy())
    client.on('end', () => {
      if (this.client === client) this.client = null
    })
    this.client = client
    await client.connect()
    this.begin()
    let last = 0
    client.on('notification', ({ payload }) => {
      if (this.client !== client) return
      const event = JSON.parse(payload)
      if (!this.isGenuine(payload)) this.world.wrong(`the mac of ${payload}`)
      if (event.seq <= last) this.world.wrong(`event ${event.seq} after ${last}`)
      last = event.seq
      this.hear(event)
    })
    await client.query('LISTEN presence')
    await this.read()
  }

  isGenuine(payload) {
    if (!this.key) return true
    const [head, mac] = payload.split(',"mac":"')
    return createHmac('sha256', this.key).update(head).digest('hex').slice(0, 32) === mac.slice(0, 32)
  }

  async read() {
    const period = this.periods
    this.key = (await this.client.query('SELECT presence.event_key() AS key')).rows[0].key
    await this.client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    const { rows } = await this.client.query(open)
    const stays = (await this.client.query(all)).rows
    await this.client.query('COMMIT')
    if (period !== this.periods) return // there was a resync meanwhile, which reads again
    this.members = new Map(rows.map(({ id, book_id, user_id }) => [String(id), `${book_id} ${user_id}`]))
    this.before = new Map(stays.map(({ id, past }) => [String(id), past]))
    this.ready = true
    for (const event of this.kept.splice(0)) this.apply(event)
  }

  hear(event) {
    if (event.event === 'resync') {
      this.resyncs++
      this.begin()
      this.read().catch(() => this.client.connection?.stream?.destroy())
    } else if (!this.ready) this.kept.push(event)
    else this.apply(event)
  }

  apply({ event, presence_id, book_id, user_id, reason }) {
    const id = String(presence_id)
    if (forgettable.includes(user_id)) this.mayGo.add(id)
    const count = (map) => map.set(id, (map.get(id) ?? 0) + 1)
    if (event === 'member_added') {
      if (this.removed.has(id)) this.world.wrong(`presence ${id} is added after it was removed`)
      this.members.set(id, `${book_id} ${user_id}`)
      count(this.added)
    } else if (event === 'member_removed') {
      this.members.delete(id)
      if (reason === 'removed' || book_id.startsWith('@')) this.mayGo.add(id)
      count(this.removed)
    }
  }

  // What is wrong between what was told in this period and the table's rows, all of them.
  account(rows) {
    const wrong = []
    const byId = new Map(rows.map((row) => [String(row.id), row]))
    for (const [id, row] of byId) {
      const told = `presence ${id} of ${row.user_id} in ${row.book_id}`
      if (!this.before.has(id) && this.added.get(id) !== 1) wrong.push(`${told}: ${this.added.get(id) ?? 0} member_added`)
      if (row.left_at && this.before.get(id) !== true && this.removed.get(id) !== 1) wrong.push(`${told}: ${this.removed.get(id) ?? 0} member_removed`)
      if (!row.left_at && this.removed.has(id)) wrong.push(`${told}: removed, and is open`)
    }
    for (const map of [this.added, this.removed])
      for (const [id, n] of map) {
        if (n > 1) wrong.push(`presence ${id}: told ${n} times`)
        if (!byId.has(id) && !this.before.has(id) && !this.mayGo.has(id)) wrong.push(`presence ${id}: told, and has no row`)
      }
    return wrong
  }

  stop() {
    this.ended = true
    this.client?.connection.stream.destroy()
  }
}
