// Where the database is: standbys, silent hosts and resolvers, poolers.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { atEnd, closeAll, enter, eventsOf, newClient, newDatabase, newSocket, ownDirectory, sleep, slowness, startGateway, until } from './harness.mjs'

const dir = ownDirectory('gw-hosts-')
execFileSync('chmod', ['755', dir])
let database
before(async () => {
  database = await newDatabase()
})
after(closeAll)

const asServer = (command, ...args) =>
  execFileSync(process.getuid() === 0 ? 'runuser' : command, process.getuid() === 0 ? ['-u', process.env.SERVER_USER, '--', command, ...args] : args, { stdio: 'ignore', cwd: '/' })
const ready = async (gateway) => (await gateway.status('/readyz')) === 200

test('a standby takes nothing: not ready; with another host, that one is found', { timeout: 120_000 }, async () => {
  const bin = process.env.PG_CTL.split(' ')[0].replace(/pg_ctl$/, '')
  const data = join(dir, 'standby')
  const sock = join(dir, 'standby-socket')
  execFileSync('mkdir', [data, sock])
  execFileSync('chmod', ['700', data])
  if (process.getuid() === 0) execFileSync('chown', [process.env.SERVER_USER, data, sock])
  asServer(`${bin}pg_basebackup`, '-h', process.env.PGHOST, '-U', 'postgres', '-D', data, '-R', '-X', 'stream', '-c', 'fast')
  asServer(`${bin}pg_ctl`, '-D', data, '-o', `-c unix_socket_directories=${sock}`, '-l', `${sock}/log`, '-w', 'start')
  atEnd(() => asServer(`${bin}pg_ctl`, '-D', data, '-m', 'immediate', 'stop'))
  const alone = await startGateway(database, [], { host: sock, ready: false })
  await until('it says why', () => /read-only/.test(alone.log), 20_000)
  assert.equal(await alone.status('/readyz'), 503)
  assert.equal(await alone.status('/livez'), 200)
  assert.equal(await (await newSocket(alone, undefined, { silent: true })).closed(), 4100)
  const both = await startGateway(database, [], { conninfo: `host=${sock},${process.env.PGHOST} user=gateway dbname=${database.name}` })
  assert.ok(await ready(both))
  await both.stop()
  await alone.stop()
})

test('a first host that is a black hole costs its time limit, once', { timeout: 60_000 }, async () => {
  let asked = 0
  const hole = net.createServer(() => asked++) // accepts, and says nothing
  await new Promise((resolve) => hole.listen(0, '127.0.0.1', resolve))
  atEnd(() => hole.close())
  const conninfo = `host=127.0.0.1,${process.env.PGHOST} port=${hole.address().port},5432 user=gateway dbname=${database.name}`
  const start = Date.now()
  const gateway = await startGateway(database, ['--connect-timeout', '3'], { conninfo })
  assert.ok(Date.now() - start < 15_000 * slowness, `${Date.now() - start} ms`)
  assert.ok(await ready(gateway))
  assert.equal(asked, 1)
})

test('a silent resolver stops nobody', { timeout: 60_000 }, async (t) => {
  const source = join(dir, 'slow.c')
  writeFileSync(source, `#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res) {
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
  if (node && strstr(node, "silent")) { sleep(20); return EAI_AGAIN; }
  return real(node, service, hints, res);
}`)
  execFileSync('cc', ['-shared', '-fPIC', '-o', join(dir, 'slow.so'), source, '-ldl'])
  const conninfo = `host=silent.example,${process.env.PGHOST} user=gateway dbname=${database.name}`
  const gateway = await startGateway(database, ['--connect-timeout', '1', '--silence', '4'], { conninfo, env: { LD_PRELOAD: join(dir, 'slow.so') } })
  assert.match(gateway.log, /silent\.example is not resolved in time/)
  const client = newClient(gateway, 'ann')
  const ann = await enter(client, 'silent-resolver')
  const id = client.connection.socket_id
  await database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'presence-gateway' AND datname = current_database()")
  const raw = await newSocket(gateway)
  const times = []
  for (let i = 0; i < 60; i++) {
    const start = performance.now()
    raw.say('pusher:ping', {})
    await raw.next('pusher:pong')
    times.push(performance.now() - start)
    await sleep(50)
  }
  t.diagnostic(`pings while a name is resolved: ${Math.max(...times).toFixed(1)} ms at most`)
  assert.ok(Math.max(...times) < 500 * slowness)
  await until('restored', () => eventsOf(ann, 'presence:restored').length > 0, 20_000)
  assert.equal(client.connection.socket_id, id)
})

const pgbouncer = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find(existsSync)
test('behind a pooler that shares connections it is not ready, and says why', { timeout: 60_000, skip: !pgbouncer }, async () => {
  const home = join(dir, 'bouncer')
  execFileSync('mkdir', [home])
  writeFileSync(join(home, 'ini'), `[databases]
* = host=${process.env.PGHOST}
[pgbouncer]
pool_mode = transaction
unix_socket_dir = ${home}
listen_port = 6432
auth_type = any
ignore_startup_parameters = extra_float_digits
`)
  execFileSync('chmod', ['-R', '777', home])
  const bouncer = spawn(pgbouncer, [...(process.getuid() === 0 ? ['-u', process.env.SERVER_USER] : []), join(home, 'ini')], { stdio: 'ignore' })
  atEnd(() => bouncer.kill('SIGKILL'))
  await until('the pooler is there', () => existsSync(`${home}/.s.PGSQL.6432`))
  const gateway = await startGateway(database, [], { ready: false, conninfo: `host=${home} port=6432 user=postgres dbname=${database.name}` })
  await until('it says why', () => /database lost/.test(gateway.log), 20_000)
  assert.equal(await gateway.status('/readyz'), 503)
})

// A pooler in the eyes of the gateway: all goes through, but the notifications do not.
test('a connection that hears no notification is not ready, and says why', { timeout: 60_000 }, async () => {
  const home = join(dir, 'deaf')
  execFileSync('mkdir', [home])
  const deaf = net.createServer((client) => {
    const upstream = net.connect(`${process.env.PGHOST}/.s.PGSQL.5432`)
    let kept = Buffer.alloc(0)
    let started = false
    client.on('data', (data) => upstream.write(data)).on('error', () => {}).on('close', () => upstream.destroy())
    upstream.on('error', () => {}).on('close', () => client.destroy()).on('data', (data) => {
      kept = Buffer.concat([kept, data])
      if (!started && kept.length && (kept[0] === 0x4e || kept[0] === 0x53) && kept.length === 1) {
        client.write(kept)
        kept = Buffer.alloc(0)
        return
      }
      started = true
      while (kept.length >= 5 && kept.length >= 1 + kept.readInt32BE(1)) {
        const size = 1 + kept.readInt32BE(1)
        if (kept[0] !== 0x41) client.write(kept.subarray(0, size)) // A: NotificationResponse
        kept = kept.subarray(size)
      }
    })
  })
  await new Promise((resolve) => deaf.listen(`${home}/.s.PGSQL.5432`, resolve))
  execFileSync('chmod', ['-R', '777', home])
  atEnd(() => deaf.close())
  const gateway = await startGateway(database, [], { ready: false, host: home })
  await until('it says why', () => /notifications do not arrive/.test(gateway.log), 30_000)
  assert.equal(await gateway.status('/readyz'), 503)
  await gateway.kill()
})
