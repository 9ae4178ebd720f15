// Chaos with a seed: node chaos.mjs [--seed N] [--minutes M] [--storms N] [--seconds S] [--faults NAME,...] [--verbose]
//
// A round is a server, two gateways, 32 sessions, 12 clients and a listener, all choosing by its seed; in its storms
// things go wrong, and after each it is quiet and all must add up (checks.mjs). Rounds of seed, seed + 1, ... until the
// minutes are over, one at least. Prints TAP. Called by run.
import { parseArgs } from 'node:util'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterRound, afterStorm, count, measure, readLog, timeout } from './checks.mjs'
import { Client, Gateway } from './clients.mjs'
import { faults } from './faults.mjs'
import { Listener } from './listener.mjs'
import { Random } from './random.mjs'
import { Server } from './server.mjs'
import { Session } from './sessions.mjs'
import { close, sleep, until } from '../../gateway/test/harness.mjs'

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '0' },
    storms: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    faults: { type: 'string', default: '' },
    verbose: { type: 'boolean', default: false }
  }
})
const work = process.env.CHAOS_WORK
const socketPort = 5432

// Errors that the manual tells callers to expect, or that the faults themselves are.
const expectedErrors = new Set(['40001', '40P01', '57014', '57P01', '57P02', '57P03', '53300', '53400', '55P03', '25P02', '3B001'])

class World {
  constructor(seed) {
    Object.assign(this, { seed, calm: true, problems: [], history: [], start: Date.now(), names: new Set(), prepared: [], busy: Promise.resolve() })
  }

  say(what) {
    const line = `${((Date.now() - this.start) / 1000).toFixed(2).padStart(7)} ${what}`
    this.history.push(line)
    if (options.verbose) console.log(`# ${line}`)
  }

  wrong(what) {
    if (this.problems.includes(what) || this.problems.length >= 20) return
    this.say(`WRONG: ${what}`)
    this.problems.push(what)
  }

  // An error that a session got.
  judge(error, who) {
    if (!error.severity) return // the connection is gone
    if (expectedErrors.has(error.code) || (error.code === '0A000' && /PREPARE/.test(error.message))) return
    if ([...this.names].some((name) => faults[name].allows?.includes(error.code))) return
    this.wrong(`${who} got ${error.code}: ${error.message}`)
  }

  // What takes longer hangs.
  async limited(what, promise) {
    let timer
    const late = new Promise((_, reject) => (timer = setTimeout(() => {
      this.wrong(`it hangs: ${what}`)
      reject(new Error('it hangs'))
    }, 45_000)))
    try {
      return await Promise.race([promise, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

const settings = (names, random) => [
  "shared_preload_libraries = 'presence'", 'max_connections = 100', 'max_prepared_transactions = 60', "deadlock_timeout = '50ms'",
  `presence.timeout = '${timeout}s'`, 'fsync = off', "log_line_prefix = '%m [%p] %b %e '", 'log_checkpoints = off', 'restart_after_crash = on',
  `presence.memory_limit = '${names.has('memory used up') ? '1MB' : '16MB'}'`,
  ...(names.has('worker slots used up') ? ['max_worker_processes = 2', 'max_parallel_workers = 2', 'max_logical_replication_workers = 0'] : []),
  ...(random.chance(0.3) ? ["presence.linger = '700ms'"] : [])
]

// What goes wrong, when: for each storm [name, ms].
function plan(random) {
  const standby = options.faults ? options.faults.includes('failover') : random.chance(0.2)
  const names = options.faults ? options.faults.split(',') : Object.keys(faults).filter((name) => !faults[name].standby)
  const storms = Array.from({ length: Number(options.storms) }, () =>
    Array.from({ length: random.between(1, 4) }, () => [random.pick(names), random.between(300, Number(options.seconds) * 800)]).sort((a, b) => a[1] - b[1]))
  if (standby) storms.at(-1).push(['failover', Number(options.seconds) * 700])
  return { standby, storms }
}

async function template() {
  const server = new Server('template', socketPort, ["shared_preload_libraries = 'presence'", 'fsync = off'])
  await server.initialize()
  await server.start()
  await server.createDatabase('chaos')
  for (const sql of ['CREATE EXTENSION presence', 'CREATE ROLE gateway LOGIN', "SELECT presence.grant_gateway('gateway')",
    "INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('1', 'app-key', 'app-secret')"]) await server.query(sql)
  await server.ctl('stop', '-m', 'fast', '-w')
  return server
}

// Prepared transactions are finished when they are seen a second time; nobody is twice in a room, ever.
async function look(world) {
  const { server } = world
  const prepared = (await server.query('SELECT gid FROM pg_prepared_xacts')).map(({ gid }) => gid)
  for (const gid of prepared.filter((gid) => world.calm || world.prepared.includes(gid)))
    await server.query(`${gid.endsWith('1') ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'`).catch(() => {})
  world.prepared = prepared
  const twice = await server.query('SELECT user_id, book_id FROM presence.room_presence WHERE left_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1')
  if (twice.length) world.wrong(`twice: ${JSON.stringify(twice)}`)
}

async function strike(world, storm, number, [name, ms]) {
  await sleep(ms)
  const fault = faults[name]
  const act = async () => {
    world.say(`${name} begins`)
    await Promise.resolve(fault.run(world, new Random(world.seed, 'storm', storm, 'fault', number))).catch((error) => world.say(`${name}: ${error.message}`))
    world.say(`${name} is over`)
  }
  if (fault.server) await (world.busy = world.busy.then(act))
  else await act()
}

async function storm(world, number, strikes) {
  const before = await count(world)
  const resyncs = world.listener.resyncs
  const periods = world.listener.periods
  world.say(`storm ${number}: ${strikes.map(([name, ms]) => `${name} at ${ms}`).join(', ')}`)
  world.calm = false
  const running = [...world.sessions, ...world.clients].map((one) => one.run(`storm ${number}`))
  const striking = strikes.map((strike_, n) => strike(world, number, n, strike_))
  const looking = (async () => {
    while (!world.calm) {
      await look(world).catch(() => {})
      await sleep(250)
    }
  })()
  await sleep(Number(options.seconds) * 1000)
  await Promise.all(striking)
  world.calm = true
  await looking
  await until('all transactions to end', async () => {
    await world.server.ensure()
    await look(world)
    return (await world.server.query('SELECT FROM pg_prepared_xacts')).length === 0
  }, 60_000)
  await world.limited('the sessions end', Promise.all(running))
  await look(world)
  for (const { pusher } of world.clients) if (pusher?.connection.state === 'disconnected') pusher.connect()
  await Promise.all(world.gateways.map((gateway) => gateway.ready()))
  world.say(`it is quiet; ${world.listener.resyncs - resyncs} resyncs, ${world.listener.periods - periods} new periods`)
  await afterStorm(world, before, world.names.has('worker slots used up'))
}

async function round(seed, source) {
  const world = new World(seed)
  const random = new Random(seed, 'round')
  const { standby, storms } = plan(random)
  world.names = new Set(storms.flat().map(([name]) => name))
  const conf = settings(world.names, random)
  const servers = []
  try {
    world.server = new Server('primary', socketPort, conf)
    servers.push(world.server)
    world.server.copyOf(source)
    await world.server.start()
    if (standby) {
      world.standby = new Server('standby', socketPort + 1)
      servers.push(world.standby)
      await world.standby.standbyOf(world.server)
      await world.standby.start()
    }
    const conninfo = `host=${work}${standby ? `,${work}` : ''} port=${socketPort}${standby ? `,${socketPort + 1}` : ''} user=gateway dbname=chaos`
    world.gateways = [new Gateway(world, conninfo), new Gateway(world, conninfo)]
    for (const gateway of world.gateways) await gateway.start()
    world.sessions = Array.from({ length: 32 }, (_, n) => new Session(world, n))
    world.clients = Array.from({ length: 12 }, (_, n) => new Client(world, n))
    world.listener = new Listener(world)
    const listening = world.listener.run()
    await Promise.all(world.gateways.map((gateway) => gateway.ready()))
    await until('the worker runs', () => world.server.worker())
    await until('the listener listens', () => world.listener.ready)
    const before = await measure(world)
    for (const [number, strikes] of storms.entries()) {
      await storm(world, number, strikes)
      if (world.problems.length) break
    }
    for (const one of [...world.sessions, ...world.clients]) await one.close()
    if (!world.problems.length) await afterRound(world, before)
    world.listener.stop()
    for (const gateway of world.gateways) await gateway.stop()
    await listening
  } catch (error) {
    world.wrong(error.stack)
  }
  for (const gateway of world.gateways ?? []) gateway.wanted = false
  for (const server of servers) {
    readLog(world, server)
    await server.remove()
  }
  await close()
  return world
}

function report(number, world) {
  const done = (world.sessions ?? []).reduce((sum, session) => sum + session.done, 0)
  const failed = {}
  for (const session of world.sessions ?? []) for (const [code, n] of Object.entries(session.failed)) failed[code] = (failed[code] ?? 0) + n
  console.log(`${world.problems.length ? 'not ok' : 'ok'} ${number} - seed ${world.seed}: ${[...world.names].join(', ')}`)
  console.log(`# ${Math.round((Date.now() - world.start) / 1000)} s, ${done} steps of sessions, refused: ${Object.entries(failed).map(([code, n]) => `${n} × ${code}`).join(', ')}`)
  if (!world.problems.length) return
  for (const problem of world.problems) console.log(`#   ${problem}`)
  if (!options.verbose) for (const line of world.history) console.log(`# ${line}`)
  for (const name of ['primary', 'standby']) {
    try {
      const kept = `${process.env.CHAOS_LOGS}/chaos-${world.seed}-${name}.log`
      writeFileSync(kept, readFileSync(`${work}/${name}.log`))
      console.log(`# the server's log: ${kept}`)
    } catch {
      // there was no such server
    }
  }
  for (const { now, port } of world.gateways ?? []) {
    const kept = `${process.env.CHAOS_LOGS}/chaos-${world.seed}-gateway-${port}.log`
    writeFileSync(kept, now.log)
    console.log(`# a gateway's log: ${kept}`)
  }
  console.log(`# to replay it: SEED=${world.seed} make soak MINUTES=0`)
}

const end = Date.now() + Number(options.minutes) * 60_000
const source = await template()
let number = 0
let failures = 0
process.on('SIGTERM', () => process.exit(1))
do {
  const world = await round(Number(options.seed) + number, source)
  report(++number, world)
  if (world.problems.length) failures++
} while (Date.now() < end)
console.log(`1..${number}`)
process.exit(failures ? 1 : 0)
