// The suites that Pusher's own packages ship, against a gateway without TLS and one with.
// test/run puts the packages and what they need in the directory SUITES; docs/gateway.md says what
// of them is left out. What fails is shown as diagnostics.
import { describe, test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { promisify } from 'node:util'
import { atEnd, closeAll, newDatabase, startGateway, until } from './harness.mjs'

const suites = process.env.SUITES
const options = { skip: suites ? false : 'not asked for', timeout: 600_000 }
const exec = promisify(execFile)
const mt1 = { id: '2', key: 'c49a449b916bb4246729', secret: 'mt1-secret' } // the keys that the specs use
const eu = { id: '3', key: 'cb7d5e50f5669e5c9ae6', secret: 'eu-secret' }
let env

before(async () => {
  if (!suites) return
  const database = await newDatabase({ 'presence.channel_prefix': 'presence-' })
  for (const { id, key, secret } of [mt1, eu]) await database.sql('INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ($1, $2, $3)', [id, key, secret])
  const [certificate, secret] = [`${suites}/cert.pem`, `${suites}/key.pem`]
  await exec('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=pusher.com', '-keyout', secret, '-out', certificate])
  const plain = await startGateway(database)
  const tls = await startGateway(database, ['--tls-cert', certificate, '--tls-key', secret])
  env = {
    ...process.env,
    PLAIN_PORT: String(plain.port),
    TLS_PORT: String(tls.port),
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    NODE_NO_WARNINGS: '1',
    NODE_PATH: `${suites}/node_modules`,
    PUSHER_URL: `http://app-key:app-secret@127.0.0.1:${plain.port}/apps/1`
  }
  for (const [name, app] of [['MT1', mt1], ['EU', eu]])
    for (const part of ['id', 'key', 'secret'])
      env[`INTEGRATION_TESTS_APP_${name}_${part === 'id' ? 'APP_ID' : part.toUpperCase()}`] = app[part]
  delete env.NODE_TEST_CONTEXT
})
after(closeAll)

const listens = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })

// The auth server of pusher-js's specs listens on ports of its own choice.
async function startAuthServer() {
  for (const port of [3000, 3001]) assert.ok(!(await listens(port)), `port ${port}, which the specs of pusher-js need, is in use`)
  const child = spawn(process.execPath, ['-r', `${suites}/redirect.cjs`, `${suites}/pusher-js/integration_tests_server/index.js`], { env, stdio: 'ignore' })
  atEnd(() => child.kill('SIGKILL'))
  await until('the auth server listens', async () => (await listens(3000)) && (await listens(3001)))
}

async function run(t, command, args, cwd) {
  const { stdout } = await exec(command, args, { cwd, env, maxBuffer: 1 << 26 }).catch((error) => {
    t.diagnostic(`${error.stdout}\n${error.stderr}`)
    throw new Error('the suite failed')
  })
  return stdout
}

// Of today, and the last ones of the majors before, which are in use as well: test/run has the list.
const libraries = { pusher: 7, 'pusher-4': 7, 'pusher-2': 8 }
const clients = { 'pusher-js': 84, 'pusher-js-7': 84 }

for (const [name, passing] of Object.entries(libraries))
  test(`${name}: tests/remote`, options, async (t) => {
    const files = readdirSync(`${suites}/${name}/tests/remote/pusher`).map((file) => `tests/remote/pusher/${file}`)
    const more = name === 'pusher-2' ? ['--require', `${suites}/pusher-2.cjs`] : []
    const output = await run(t, `${suites}/node_modules/.bin/mocha`, ['--exit', ...more, ...files], `${suites}/${name}`)
    assert.match(output, new RegExp(`^ +${passing} passing`, 'm'))
  })

// Side by side: mostly they wait.
describe('integration specs for Node, with and without TLS', { concurrency: true, ...options }, () => {
  before(async () => suites && startAuthServer())
  for (const [name, specs] of Object.entries(clients))
    test(name, options, async (t) => {
      await exec(process.execPath, ['bundle.mjs', name, `${name}.cjs`], { cwd: suites })
      const jasmine = `${suites}/node_modules/.bin/jasmine`
      const output = await run(t, process.execPath, ['-r', `${suites}/redirect.cjs`, jasmine, '--random=false', `${name}.cjs`], suites)
      assert.match(output, new RegExp(`^${specs} specs, 0 failures$`, 'm'))
    })
})
