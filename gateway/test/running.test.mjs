// Starting, reloading and stopping: addresses, files of options, signals, systemd.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { atEnd, closeAll, dial, newClient, newDatabase, newSocket, ownDirectory, sleep, slowness, startGateway, until } from './harness.mjs'

let database
const dir = ownDirectory('gw-running-')
before(async () => {
  database = await newDatabase()
})
after(closeAll)

const program = process.env.GATEWAY_PROGRAM
const connects = (host, port) =>
  new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: 1000 }, () => resolve(true) || socket.destroy())
    socket.on('error', () => resolve(false)).on('timeout', () => resolve(false) || socket.destroy())
  })
const otherAddress = Object.values(networkInterfaces()).flat().find(({ internal, family }) => !internal && family === 'IPv4')?.address
const boundBy = (gateway) => /msg="listening on (.*?)"/.exec(gateway.log)[1]

test('what is bound is what was asked for', async () => {
  const one = await startGateway(database, ['--listen', '127.0.0.1:0'])
  assert.match(boundBy(one), /^127\.0\.0\.1:\d+$/)
  assert.ok(await connects('127.0.0.1', one.port))
  assert.ok(!(await connects('127.0.0.2', one.port)))
  assert.ok(!(await connects('::1', one.port)))
  if (otherAddress) assert.ok(!(await connects(otherAddress, one.port)))
})

test('names are resolved, all addresses of theirs bound, on one port', async () => {
  const named = await startGateway(database, ['--listen', 'localhost:0'])
  const ports = boundBy(named).split(', ').map((address) => address.split(':').at(-1))
  assert.equal(new Set(ports).size, 1)
  assert.ok(await connects('127.0.0.1', named.port))
})

test('without a host all addresses, of both families', async () => {
  const all = await startGateway(database, ['--listen', ':0'])
  assert.ok(await connects('127.0.0.2', all.port))
  if (boundBy(all).startsWith('[::]')) assert.ok(await connects('::1', all.port))
})

test('several addresses, and a Unix socket', async () => {
  const path = join(dir, 'gateway.sock')
  const several = await startGateway(database, ['--listen', `127.0.0.1:0,127.0.0.3:0,unix:${path}`])
  const second = Number(/127\.0\.0\.3:(\d+)/.exec(boundBy(several))[1])
  assert.ok(await connects('127.0.0.3', second))
  const status = await new Promise((resolve) => http.get({ socketPath: path, path: '/livez' }, (answer) => resolve(answer.statusCode)))
  assert.equal(status, 200)
  await several.stop()
  assert.ok(!existsSync(path))
})

test('what can not be bound ends the process, with a message and a status', async () => {
  const taken = await startGateway(database)
  for (const [listen, message] of [
    [`127.0.0.1:${taken.port}`, /in use/], ['no-such-interface0:6001', /listen on no-such-interface0:6001/], ['203.0.113.7:6001', /listen on 203\.0\.113\.7/],
    ['127.0.0.1:nonsense', /listen on 127\.0\.0\.1:nonsense/], ['127.0.0.1:99999', /listen on/], ['unix:/nonexistent/dir/x', /listen on/]
  ]) {
    const { status, stderr } = spawnSync(program, ['--listen', listen, '--database', `host=${process.env.PGHOST} user=gateway`], { timeout: 20_000 })
    assert.equal(status, 1, listen)
    assert.match(String(stderr), message)
    assert.doesNotMatch(String(stderr), /listening on/)
  }
  if (process.getuid() === 0) {
    const { status } = spawnSync('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--bounding-set', '-net_bind_service', program, '--listen', '127.0.0.1:80'], { timeout: 20_000 })
    if (Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')) > 80) assert.equal(status, 1)
  }
})

test('a port is shared by who says so', async () => {
  const first = await startGateway(database, ['--reuse-port'])
  const args = ['--listen', `127.0.0.1:${first.port}`]
  const second = await startGateway(database, [...args, '--reuse-port'])
  assert.equal(second.port, first.port)
  for (let i = 0; i < 40; i++) await newSocket(first)
  const counts = [await (await fetch(`http://127.0.0.1:${first.port}/metrics`)).text()].map((text) => Number(/_sockets (\d+)/.exec(text)[1]))
  assert.ok(counts[0] > 0 && counts[0] < 40, `${counts}`)
})

test('--version is the package\'s, --help tells all, mistakes are 2', () => {
  const control = readFileSync(process.env.CONTROL_FILE ?? '/dev/null', 'utf8')
  const version = spawnSync(program, ['--version'])
  assert.match(String(version.stdout), /^presence-gateway \d+\.\d+\n$/)
  if (control) assert.equal(String(version.stdout), `presence-gateway ${/default_version = '(.*)'/.exec(control)[1]}\n`)
  assert.match(String(spawnSync(program, ['--help']).stdout), /--reuse-port/)
  for (const args of [['--max-sockets', '0'], ['--nonsense'], ['argument'], ['--config', '/nonexistent'], ['--tls-cert', 'x'], ['--path-prefix', 'x'], ['--log-level', 'loud']])
    assert.equal(spawnSync(program, args, { timeout: 10_000 }).status, 2, args.join(' '))
})

const newCertificate = (name) => {
  const files = [join(dir, `${name}.crt`), join(dir, `${name}.key`)]
  spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', `/CN=${name}`, '-keyout', files[1], '-out', files[0]])
  return files
}
const subjectAt = (port) =>
  new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN)
      socket.destroy()
    })
    socket.on('error', reject)
  })

test('SIGHUP reads certificate, key and options again, and closes nobody', async () => {
  const config = join(dir, 'gateway.conf')
  const [first, second] = [newCertificate('first'), newCertificate('second')]
  const write = ([cert, key], more = '') => writeFileSync(config, `# options\ntls-cert=${cert}\nGATEWAY_TLS_KEY="${key}"\n${more}`)
  write(first, 'max-subscriptions=1\n')
  const gateway = await startGateway(database, ['--config', config])
  assert.equal(await subjectAt(gateway.port), 'first')
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  const client = newClient(gateway, 'ann', { forceTLS: true })
  await until('connected', () => client.connection.state === 'connected')
  const id = client.connection.socket_id
  write(second, 'max-subscriptions=2\n')
  gateway.kill('SIGHUP')
  await until('the new certificate', async () => (await subjectAt(gateway.port)) === 'second')
  const channels = ['one', 'two', 'three'].map((name) => client.subscribe(name))
  await until('two may be had now', () => channels[1].subscribed)
  assert.ok(!channels[2].subscribed)
  write(['/nonexistent', '/nonexistent'])
  gateway.kill('SIGHUP')
  await until('the mistake is told', () => gateway.log.includes('/nonexistent'))
  assert.equal(await subjectAt(gateway.port), 'second')
  writeFileSync(config, 'nonsense\n')
  gateway.kill('SIGHUP')
  await until('that one too', () => gateway.log.includes('options stay as they are'))
  assert.equal(client.connection.socket_id, id)
  client.disconnect()
})

test('SIGHUP reads --database again: connections are opened anew, and no member is lost', async () => {
  const config = join(dir, 'database.conf')
  const conninfo = (more = '', name = database.name) => `host=${process.env.PGHOST} user=gateway dbname=${name}${more}`
  const write = (text) => writeFileSync(config, `listen=127.0.0.1:0\ndatabase=${text}\n`)
  write(conninfo())
  const child = spawn(program, ['--config', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const gateway = { log: '', port: 0 }
  child.stderr.on('data', (data) => (gateway.log += data))
  atEnd(() => child.kill('SIGKILL'))
  await until('connected', () => gateway.log.includes('database connected'))
  gateway.port = Number(/listening on \S+?:(\d+)/.exec(gateway.log)[1])
  const ann = await newSocket(gateway)
  await ann.subscribe('presence-room-hup', { user_id: 'ann' })
  const online = async (db = database) => (await db.sql("SELECT id, user_id FROM presence.online WHERE book_id = 'hup'")).rows
  const first = await online()
  const backends = async (name) => (await database.sql('SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1', [name])).rows[0].n
  const reload = (text) => {
    write(text)
    child.kill('SIGHUP')
  }
  // It may have been so quick that it was never away.
  const isRestored = () => ann.messages.filter(({ event }) => /degraded|restored/.test(event)).at(-1)?.event !== 'presence:degraded'
  reload(conninfo(' application_name=hup-second'))
  await until('six connections', async () => (await backends('hup-second')) === 6)
  await until('restored', isRestored)
  assert.deepEqual(await online(), first)
  reload(conninfo(' no_such_option=1'))
  await until('the mistake is told', () => gateway.log.includes('no_such_option'))
  assert.equal(await backends('hup-second'), 6)
  // Another database: all are joined there, and nobody is told that he was removed.
  const elsewhere = await newDatabase()
  reload(conninfo('', elsewhere.name))
  await until('she is there', async () => (await online(elsewhere)).length === 1)
  await until('restored', isRestored)
  ann.say('pusher:ping', {})
  await ann.next('pusher:pong')
  assert.deepEqual([...new Set(ann.messages.map(({ event }) => event))].filter((event) => !/degraded|restored/.test(event)), [])
  assert.equal(ann.code, null)
})

test('SIGTERM: accepting ends first, clients are moved away over the time of --drain', async () => {
  const gateway = await startGateway(database, ['--drain', '3'])
  const clients = await Promise.all(Array.from({ length: 60 }, () => newSocket(gateway)))
  const closed = []
  const start = Date.now()
  clients.forEach((raw) => raw.socket.on('close', () => closed.push(Date.now() - start)))
  const ended = gateway.stop()
  await until('nobody is let in', async () => !(await connects('127.0.0.1', gateway.port)))
  const [early, ms] = [closed.length, Date.now() - start] // 60 in four fifths of 3 s
  assert.ok(early <= 60 * (ms / 2400) + 10, `${early} were closed in ${ms} ms`)
  await ended
  await until('all are closed', () => closed.length === 60)
  assert.ok(clients.every((raw) => raw.code === 4200))
  assert.ok(closed.at(-1) > 1000 && closed.at(-1) < 9000 * slowness, `${closed.at(-1)} ms`)
})

test('signals that come while it ends do not make it fail', async () => {
  for (let round = 0; round < 5; round++) {
    const { child, stop } = await startGateway(database)
    let more = true
    child.once('exit', () => (more = false))
    const kill = () => more && child.kill('SIGTERM') && setImmediate(kill)
    kill()
    await stop()
  }
})

test('a client that connects while it stops does not come back 485 times a second', async () => {
  const gateway = await startGateway(database, ['--drain', '2'])
  await Promise.all(Array.from({ length: 40 }, () => newSocket(gateway)))
  const stopped = gateway.stop()
  let tries = 0
  const client = newClient(gateway, 'ann')
  client.connection.bind('connecting', () => tries++)
  await stopped
  assert.ok(tries < 10, `${tries}`)
  client.disconnect()
})

// As systemd does it: the socket is the parent's, and 3 in the child. (node would accept by itself.)
const activator = `
import os, signal, socket, subprocess, sys
s = socket.create_server(('127.0.0.1', 0))
print(s.getsockname()[1], flush=True)
def start():
    def three():
        os.dup2(s.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
    return subprocess.Popen(['/bin/sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"'] + sys.argv[1:], preexec_fn=three, close_fds=False)
child = start()
for line in sys.stdin:
    child.send_signal(signal.SIGTERM)
    child.wait()
    print('stopped', flush=True)
    sys.stdin.readline()
    child = start()
child.kill()
`

test('a socket of systemd: nobody is refused while it restarts', async () => {
  const parent = spawn('python3', ['-uc', activator, program, '--database', `host=${process.env.PGHOST} user=gateway dbname=${database.name}`, '--drain', '1'])
  let out = ''
  let log = ''
  parent.stdout.on('data', (data) => (out += data))
  parent.stderr.on('data', (data) => (log += data))
  atEnd(() => parent.stdin.end())
  await until('it listens', () => log.includes('given by systemd') && log.includes('database connected'))
  const port = Number(out.split('\n')[0])
  assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200)
  parent.stdin.write('stop\n')
  await until('it stopped', () => out.includes('stopped'))
  const waiting = await dial({ port }, 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n') // nobody is there to accept it
  await sleep(200)
  assert.ok(!waiting.closed && !waiting.answer)
  parent.stdin.write('start\n')
  assert.equal(await waiting.status(), 200)
})

test('systemd is told what it wants to hear', async () => {
  // node has no Unix datagrams: python reads them
  const path = join(dir, 'notify')
  const reader = spawn('python3', ['-uc', `import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.bind(${JSON.stringify(path)})\nwhile True: print(s.recv(200).decode())`])
  atEnd(() => reader.kill('SIGKILL'))
  let heard = ''
  reader.stdout.on('data', (data) => (heard += data))
  await until('bound', () => existsSync(path))
  const gateway = await startGateway(database, [], { env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' } })
  await until('ready', () => heard.includes('READY=1'))
  await until('alive', () => heard.split('WATCHDOG=1').length > 5)
  await gateway.stop()
  await until('stopping', () => heard.includes('STOPPING=1'))
})

test('operators have a listener of their own', async () => {
  const gateway = await startGateway(database, ['--admin-listen', '127.0.0.1:0'])
  await until('it listens', () => gateway.log.includes('for operators'))
  const admin = { port: Number(/for operators on \S+:(\d+)/.exec(gateway.log)[1]) }
  for (const path of ['/metrics', '/livez', '/readyz', '/healthz']) {
    assert.equal(await gateway.status(path), 404)
    assert.equal((await fetch(`http://127.0.0.1:${admin.port}${path}`)).status, 200)
  }
  assert.equal((await fetch(`http://127.0.0.1:${admin.port}/apps/1/channels`)).status, 404)
  for (let i = 0; i < 20; i++) await newSocket(gateway)
  gateway.kill('SIGTERM')
  await until('it says so', async () => (await (await fetch(`http://127.0.0.1:${admin.port}/readyz`).catch(() => ({ text: () => '' }))).text()) === 'stopping\n')
})

test('the client\'s address comes from named proxies only', async () => {
  const log = ['--log-level', 'info']
  const spoofed = await startGateway(database, log)
  const refused = (gateway, headers) => newSocket(gateway, '/app/wrong?protocol=7', { silent: true, headers }).then((raw) => raw.closed())
  await refused(spoofed, { 'X-Forwarded-For': '198.51.100.7' })
  await until('told', () => /client refused.*address="127\.0\.0\.1"/.test(spoofed.log))
  const named = await startGateway(database, [...log, '--proxies', '10.0.0.0/8, 127.0.0.0/8'])
  await refused(named, { 'X-Forwarded-For': '203.0.113.9, 198.51.100.7, 10.1.2.3' })
  await until('told', () => /client refused.*address="198\.51\.100\.7"/.test(named.log))
  const one = await startGateway(database, ['--proxies', '127.0.0.0/8', '--max-per-address', '3'])
  const from = (address) => ({ headers: { 'X-Forwarded-For': address } })
  for (let i = 0; i < 3; i++) await newSocket(one, undefined, from('198.51.100.7'))
  const raw = await dial(one, 'GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n')
  assert.equal(await raw.status(), 429)
  await newSocket(one, undefined, from('198.51.100.8'))
})

test('the PROXY protocol, both versions, in parts', async () => {
  const gateway = await startGateway(database, ['--proxies', '127.0.0.1', '--proxy-protocol'])
  const v2 = Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n'), Buffer.from([0x21, 0x11, 0, 12, 198, 51, 100, 9, 127, 0, 0, 1, 1, 2, 3, 4])])
  const upgrade = 'GET /app/wrong?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'
  for (const [header, address] of [['PROXY TCP4 198.51.100.8 127.0.0.1 56324 443\r\n', '198.51.100.8'], [v2, '198.51.100.9'], ['PROXY TCP6 2001:db8::1 ::1 1 2\r\n', '2001:db8::1']]) {
    gateway.log = ''
    const raw = await dial(gateway)
    for (const byte of Buffer.from(header)) {
      raw.write(Buffer.from([byte]))
      await sleep(1)
    }
    raw.write(upgrade)
    await until(`told of ${address}`, () => gateway.log.includes(`address="${address}"`))
    await sleep(1000) // the same line is not written twice in a second
  }
  const raw = await dial(gateway, 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
  await until('refused', () => raw.closed)
})

// The examples of docs/gateway.md, as they stand there.
const docs = process.env.GATEWAY_DOCS && readFileSync(process.env.GATEWAY_DOCS, 'utf8')
const example = (language) => new RegExp(`\`\`\`${language}\\n([^\`]*)\`\`\``).exec(docs)[1]
const has = (command) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin; command -v ${command}`]).status === 0
const freePort = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => resolve(port))
  })
})

async function through(gateway, command, args) {
  const port = await freePort()
  const child = spawn('sh', ['-c', `PATH=$PATH:/usr/sbin; exec ${command} "$@"`, command, ...args(port)], { stdio: 'ignore' })
  atEnd(() => child.kill('SIGTERM'))
  await until(`${command} listens`, () => connects('127.0.0.1', port))
  const raw = await newSocket({ port }, '/app/wrong?protocol=7', { silent: true, headers: { 'X-Forwarded-For': '198.51.100.1' } })
  assert.equal(await raw.closed(), 4001)
  const client = await newSocket({ port })
  assert.ok(client.socket_id)
}

test('nginx in front', { skip: !docs || !has('nginx') }, async () => {
  const gateway = await startGateway(database, ['--proxies', '127.0.0.1'])
  await through(gateway, 'nginx', (port) => {
    writeFileSync(join(dir, 'nginx.conf'), `daemon off; pid ${dir}/nginx.pid; error_log /dev/null; worker_processes 1; ${process.getuid() === 0 ? 'user root;' : ''}
events {}
http { access_log off; client_body_temp_path ${dir}; proxy_temp_path ${dir}; fastcgi_temp_path ${dir}; uwsgi_temp_path ${dir}; scgi_temp_path ${dir};
server { listen 127.0.0.1:${port}; ${example('nginx').replace('127.0.0.1:6001', `127.0.0.1:${gateway.port}`)} } }`)
    return ['-c', join(dir, 'nginx.conf')]
  })
  await until('the address is told', () => /client refused.*address="198\.51\.100\.1"/.test(gateway.log))
})

test('Caddy in front', { skip: !docs || !has('caddy') }, async () => {
  const gateway = await startGateway(database, ['--proxies', '127.0.0.1'])
  await through(gateway, 'caddy', (port) => {
    const site = example('caddy').replace('gateway.example.com', `http://127.0.0.1:${port}`).replace('127.0.0.1:6001', `127.0.0.1:${gateway.port}`)
    writeFileSync(join(dir, 'Caddyfile'), `{\n\tadmin off\n\tstorage file_system ${dir}/caddy\n}\n${site}`)
    return ['run', '--adapter', 'caddyfile', '--config', join(dir, 'Caddyfile')]
  })
  await until('the address is told', () => /client refused.*address="127\.0\.0\.1"/.test(gateway.log))
})

test('HAProxy in front, with the PROXY protocol', { skip: !docs || !has('haproxy') }, async () => {
  const gateway = await startGateway(database, ['--proxies', '127.0.0.1', '--proxy-protocol'])
  await through(gateway, 'haproxy', (port) => {
    writeFileSync(join(dir, 'haproxy.cfg'), example('haproxy').replace(':443', `127.0.0.1:${port}`).replace('127.0.0.1:6001', `127.0.0.1:${gateway.port}`))
    return ['-f', join(dir, 'haproxy.cfg')]
  })
  await until('refused with its address', () => /client refused.*address="/.test(gateway.log))
})
