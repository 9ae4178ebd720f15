// The official packages' own suites, against a gateway without TLS and one with. Prints TAP.
// Runs in a directory where suites/package.json is installed, with pusher and pusher-js unpacked
// beside it; which specs of them are left out, docs/gateway.md says.
import { execFileSync, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { atEnd, closeAll, newDatabase, startGateway, until } from './harness.mjs'

const MT1 = { app: '2', key: 'c49a449b916bb4246729', secret: 'mt1-secret' }
const EU = { app: '3', key: 'cb7d5e50f5669e5c9ae6', secret: 'eu-secret' }
const suite = process.env.SUITES

const listens = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => resolve(!socket.destroy() || true))
  socket.on('error', () => resolve(false))
})

// The auth server of pusher-js's integration tests listens on ports of its own choice.
async function startAuthServer(env) {
  for (const port of [3000, 3001]) if (await listens(port)) throw new Error(`port ${port} is in use: the specs of pusher-js need it`)
  const child = spawn(process.execPath, ['-r', `${suite}/redirect.cjs`, `${suite}/pusher-js/integration_tests_server/index.js`], { env, stdio: 'ignore' })
  atEnd(() => child.kill('SIGKILL'))
  await until('the auth server listens', async () => (await listens(3000)) && (await listens(3001)))
}

function run(name, command, args, options, summary) {
  let output = ''
  let ok = true
  try {
    output = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options })
  } catch (error) {
    ok = false
    output = `${error.stdout}\n${error.stderr}`
  }
  const line = summary.exec(output)?.[0] ?? 'no summary'
  if (!ok) console.log(output.replace(/^/gm, '# '))
  return { ok: ok && line !== 'no summary', line, name }
}

const results = []
try {
  const database = await newDatabase({ 'presence.channel_prefix': 'presence-' })
  for (const { app, key, secret } of [MT1, EU]) await database.sql('INSERT INTO presence.pusher_app VALUES ($1, $2, $3)', [app, key, secret])
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=pusher.com',
    '-keyout', `${suite}/key.pem`, '-out', `${suite}/cert.pem`], { stdio: 'ignore' })
  const plain = await startGateway(database)
  const tls = await startGateway(database, ['--tls-cert', `${suite}/cert.pem`, '--tls-key', `${suite}/key.pem`])
  const env = {
    ...process.env,
    PLAIN_PORT: String(plain.port),
    TLS_PORT: String(tls.port),
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    NODE_NO_WARNINGS: '1',
    NODE_PATH: `${suite}/node_modules`,
    PUSHER_URL: `http://app-key:app-secret@127.0.0.1:${plain.port}/apps/1`,
    INTEGRATION_TESTS_APP_MT1_APP_ID: MT1.app,
    INTEGRATION_TESTS_APP_MT1_KEY: MT1.key,
    INTEGRATION_TESTS_APP_MT1_SECRET: MT1.secret,
    INTEGRATION_TESTS_APP_EU_APP_ID: EU.app,
    INTEGRATION_TESTS_APP_EU_KEY: EU.key,
    INTEGRATION_TESTS_APP_EU_SECRET: EU.secret
  }
  const remote = readdirSync(`${suite}/pusher/tests/remote/pusher`).map((file) => `tests/remote/pusher/${file}`)
  results.push(run('the remote tests of the package pusher', `${suite}/node_modules/.bin/mocha`, ['--exit', ...remote],
    { cwd: `${suite}/pusher`, env }, /\d+ passing/))
  await startAuthServer(env)
  execFileSync(process.execPath, ['bundle.mjs', 'pusher-js', 'specs.cjs'], { cwd: suite, stdio: 'inherit' })
  results.push(run('the integration specs of pusher-js for Node', process.execPath,
    ['-r', `${suite}/redirect.cjs`, `${suite}/node_modules/.bin/jasmine`, '--random=false', 'specs.cjs'], { cwd: suite, env }, /\d+ specs?, \d+ failures?.*/))
} finally {
  await closeAll()
}
results.forEach(({ ok, name, line }, i) => console.log(`${ok ? 'ok' : 'not ok'} ${i + 1} - ${name}: ${line}`))
console.log(`1..${results.length}`)
process.exit(results.every(({ ok }) => ok) ? 0 : 1)
