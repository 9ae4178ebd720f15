// What goes wrong. Each is begun at a moment of the storm, and undoes what it did.
import { signal, pg } from './server.mjs'
import { rooms } from './sessions.mjs'
import { sleep, until } from '../../gateway/test/harness.mjs'

async function stopped(pid, ms) {
  if (!pid || !signal(pid, 'SIGSTOP')) return
  await sleep(ms)
  signal(pid, 'SIGCONT')
}

// A short state of the system, by faults.c.
async function during(server, fault, ms) {
  server.begin(fault)
  try {
    await sleep(ms)
  } finally {
    server.end(fault)
  }
}

// A session of ours that does something for a while; what ends it is nobody's fault.
async function aside(server, ms, ...statements) {
  const client = new pg.Client({ ...server.connection, application_name: 'aside', connectionTimeoutMillis: 5000, lock_timeout: 3000 })
  client.on('error', () => {})
  try {
    await client.connect()
    for (const statement of statements) await client.query(statement)
    await sleep(ms)
    await client.query('ROLLBACK')
  } catch {
    // it was ended as well
  } finally {
    client.connection.stream.destroy()
  }
}

// One at a time: what stops and starts the server.
const restarts = (how) => ({ server: true, run: how })

export const faults = {
  'worker TERM': { run: ({ server }) => signal(server.worker(), 'SIGTERM') },
  'worker STOP': { run: ({ server }, random) => stopped(server.worker(), random.between(200, 2000)) },
  'worker KILL': restarts(({ server }) => {
    const pid = server.worker()
    if (pid) signal(pid, 'SIGKILL')
  }),
  'launcher TERM': { run: ({ server }) => server.processes(/^postgres: presence launcher/).forEach((pid) => signal(pid, 'SIGTERM')) },
  'backends TERM': { run: ({ server }, random) => server.backends().filter(() => random.chance(0.3)).forEach((pid) => signal(pid, 'SIGTERM')) },
  'backends INT': { run: ({ server }, random) => server.backends().filter(() => random.chance(0.5)).forEach((pid) => signal(pid, 'SIGINT')) },
  'backends STOP': {
    run: ({ server }, random) => Promise.all(server.backends().filter(() => random.chance(0.1)).map((pid) => stopped(pid, random.between(100, 2000))))
  },
  'backend KILL': restarts(({ server }, random) => {
    const pids = server.backends()
    if (pids.length) signal(random.pick(pids), 'SIGKILL')
  }),
  'gateway TERM': { run: ({ gateways }, random) => random.pick(gateways).signal('SIGTERM') },
  'gateway KILL': { run: ({ gateways }, random) => random.pick(gateways).signal('SIGKILL') },
  'gateway STOP': { run: ({ gateways }, random) => stopped(random.pick(gateways).pid, random.between(200, 3000)) },
  'restart smart': restarts(async ({ server }) => {
    await server.ctl('stop', '-m', 'smart', '-t', '2').catch(() => server.ctl('stop', '-m', 'fast', '-t', '60'))
    await server.ensure()
  }),
  'restart fast': restarts(async ({ server }) => {
    await server.ctl('stop', '-m', 'fast', '-t', '60')
    await server.ensure()
  }),
  'restart immediate': restarts(async ({ server }) => {
    await server.ctl('stop', '-m', 'immediate', '-t', '60')
    await server.ensure()
  }),
  'postmaster KILL': restarts(async ({ server }) => {
    const pid = server.postmaster()
    if (pid) signal(pid, 'SIGKILL')
    await sleep(300)
    await server.ensure()
  }),
  'postmaster STOP': { run: ({ server }, random) => stopped(server.postmaster(), random.between(200, 2000)) },
  'slow flush': {
    run: async ({ server }, random) => {
      await server.set('fsync', 'on')
      await during(server, 'slow', random.between(1000, 3000))
      await server.reset('fsync')
    }
  },
  'disk full': { run: ({ server }, random) => during(server, 'disk', random.between(300, 2000)), allows: ['53100'] },
  'disk full for WAL': restarts(async ({ server }, random) => {
    const filling = aside(server, 0, 'SELECT pg_switch_wal() FROM generate_series(1, 3)', 'CREATE TEMP TABLE t AS SELECT 1')
    await during(server, 'wal', random.between(300, 1500))
    await filling
    await server.ensure()
  }),
  'disk full for NOTIFY': { run: ({ server }, random) => during(server, 'notify', random.between(300, 2000)) },
  'table locked': {
    run: ({ server }, random) => aside(server, random.between(200, 1500), 'BEGIN', `LOCK TABLE presence.room_presence IN ${random.pick(['ACCESS EXCLUSIVE', 'SHARE'])} MODE`)
  },
  'member locked': {
    run: ({ server }, random) => aside(server, random.between(500, 3000), 'BEGIN', `SELECT presence.join_room('u1', '${random.pick(rooms)}', 'aside', ttl => '1 s')`)
  },
  'NOTIFY held up': { run: ({ server }, random) => aside(server, random.between(1000, 3000), 'LISTEN presence', 'BEGIN', 'SELECT 1') },
  'queue tiny': {
    run: async ({ server }, random) => {
      await server.set('presence.event_queue_size', '64kB')
      await stopped(server.worker(), random.between(500, 2000))
      await server.reset('presence.event_queue_size')
    }
  },
  'clock steps': {
    run: async ({ server }, random) => {
      server.step(random.pick([-3600, -30, 30, 3600]))
      await sleep(random.between(200, 1000))
      server.step(random.pick([-3600, -5, 5, 3600]))
    }
  },
  'memory used up': {
    allows: ['53200'],
    run: async ({ server }) => {
      const room = (n) => `SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'full-${n}-' || i FROM generate_series(1, 500) AS i), array_fill('full'::text, '{500}'), NULL, NULL, '1 s')`
      for (let n = 0; n < 40; n++) if (await server.query(room(n)).then(() => false, () => true)) break
    }
  },
  'worker slots used up': {
    run: async ({ server }, random) => {
      const launcher = server.processes(/^postgres: presence launcher/)[0]
      const worker = server.worker()
      const [{ version }] = await server.query("SELECT current_setting('server_version_num')::int AS version")
      if (!launcher || !worker || !signal(launcher, 'SIGSTOP')) return
      signal(worker, 'SIGTERM')
      await sleep(100)
      const parallel = aside(server, 0, `SET ${version >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode'} = on`, 'SET parallel_leader_participation = off',
        `SELECT pg_sleep(${random.between(5, 30) / 10}) FROM generate_series(1, 1)`)
      await sleep(200)
      signal(launcher, 'SIGCONT')
      await parallel
    }
  },
  failover: {
    server: true,
    standby: true,
    run: async (world) => {
      const { standby, server } = world
      if (!standby) return
      world.standby = null
      await server.ctl('stop', '-m', 'immediate', '-t', '60').catch(() => {})
      await standby.ctl('promote', '-w', '-t', '60')
      world.server = standby
      await until('the standby is promoted', () => standby.answers())
    }
  }
}
