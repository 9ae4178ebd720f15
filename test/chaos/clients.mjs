// Gateways, the real program, and clients of theirs that come and go, the real pusher-js.
import { readdirSync } from 'node:fs'
import { Random } from './random.mjs'
import { rooms } from './sessions.mjs'
import { signal } from './server.mjs'
import { memberIds, newClient, sleep, startGateway, until } from '../../gateway/test/harness.mjs'

const people = ['g1', 'g2', 'g3', 'g4', 'g5', 'g6']
const books = rooms.filter((room) => !room.startsWith('@'))

export const openFiles = (pid) => readdirSync(`/proc/${pid}/fd`).length

// One that is there again, on its port, whenever it has ended.
export class Gateway {
  constructor(world, conninfo) {
    Object.assign(this, { world, conninfo, port: 0, wanted: false })
  }

  async start() {
    const args = ['--joins-per-minute', '1000000', '--message-rate', '1000000', '--drain', '1', '--linger', '1']
    if (this.port) args.push('--listen', `127.0.0.1:${this.port}`)
    this.now = await startGateway(null, args, { conninfo: this.conninfo, ready: false })
    this.port = this.now.port
    this.wanted = true
    this.now.child.once('exit', (code, name) => {
      if (!['SIGKILL', null].includes(name) || code) this.world.wrong(`a gateway ended with ${code ?? name}: ${this.now.log.slice(-2000)}`)
      if (this.wanted) this.start().catch((error) => this.world.wrong(`a gateway did not start: ${error.message}`))
    })
  }

  get pid() {
    return this.now.child.pid
  }

  signal(name) {
    return signal(this.pid, name)
  }

  async ready() {
    await until('the gateway is ready', async () => (await this.now.status('/readyz').catch(() => 0)) === 200, 40_000)
  }

  async stop() {
    this.wanted = false
    this.signal('SIGCONT')
    await this.now.stop()
  }
}

// pusher-js leaves a socket open that it is told to give up before it is connected.
function disconnect(pusher) {
  if (['connected', 'disconnected'].includes(pusher.connection.state)) pusher.disconnect()
  else pusher.connection.bind('connected', () => pusher.disconnect())
}

// Nor does it forget, with its socket, a subscription that was given up while it was pending: the next one would have
// it, and who subscribes again before that would be given up with it.
function forgetCancelled() {
  for (const channel of this.allChannels()) if (channel.subscriptionCancelled) this.unsubscribe(channel.name)
}

export class Client {
  constructor(world, number) {
    Object.assign(this, { world, number, channels: new Map(), pusher: null, events: 0 })
  }

  async run(storm) {
    for (let n = 0; !this.world.calm; n++) {
      const random = new Random(this.world.seed, storm, 'client', this.number, n)
      this.step(random)
      for (let left = random.between(20, 600); left > 0 && !this.world.calm; left -= 50) await sleep(50)
    }
  }

  step(random) {
    const book = random.pick(books)
    const what = random.weighted({ subscribe: 10, unsubscribe: 4, leave: 1, back: 1, client: 1 })
    const gateway = random.pick(this.world.gateways)
    const user = random.pick(people)
    if (!this.pusher || what === 'client') {
      this.close()
      this.user = user
      this.pusher = newClient(gateway, user, { enabledTransports: ['ws'] })
      for (const state of ['connecting', 'disconnected']) this.pusher.connection.bind(state, forgetCancelled, this.pusher)
    } else if (what === 'subscribe' && !this.channels.has(book)) {
      const channel = this.pusher.subscribe(`presence-room-${book}`)
      channel.bind('pusher:subscription_error', (error) => this.world.say(`client ${this.number} is refused in ${book}: ${JSON.stringify(error)}`))
      this.channels.set(book, channel)
    } else if (what === 'unsubscribe' && this.channels.delete(book)) this.pusher.unsubscribe(`presence-room-${book}`)
    else if (what === 'leave' && this.pusher.connection.state === 'connected') this.pusher.disconnect()
    else if (what === 'back' && this.pusher.connection.state === 'disconnected') this.pusher.connect()
  }

  // What is wrong with its picture; seats: of all rooms, from the table.
  wrong(seats) {
    const wrong = []
    for (const [book, channel] of this.channels) {
      const here = (seats.get(book) ?? []).join(' ')
      const name = `client ${this.number} (${this.user}, ${this.pusher.connection.state}) in ${book}`
      if (!channel.subscribed) wrong.push(`${name} is not subscribed`)
      else if (memberIds(channel).join(' ') !== here) wrong.push(`${name} sees ${memberIds(channel).join(' ')}; there are ${here}`)
    }
    return wrong
  }

  close() {
    if (this.pusher) disconnect(this.pusher)
    this.pusher = null
    this.channels.clear()
  }
}
