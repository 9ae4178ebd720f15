// What the browser tests run against, and stop and start: the PostgreSQL that
// scripts/test has made, the gateway, and the built app.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Client } from 'pg'

function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set: run scripts/test`)
  return value
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

// Until it is true; an error counts as false.
export async function eventually(what: string, check: () => Promise<boolean>, timeout = 15_000): Promise<void> {
  const end = Date.now() + timeout
  while (!(await check().catch(() => false))) {
    if (Date.now() > end) throw new Error(`not within ${timeout} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

// A program of ours: its output is shown if it ends before it was told to.
class Program {
  private child: ChildProcess | undefined
  private output = ''

  constructor(private readonly name: string) {}

  run(command: string, args: string[], env: Record<string, string> = {}): void {
    this.output = ''
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (this.output += data))
    child.on('exit', (code, signal) => {
      if (this.child === child) console.error(`${this.name} ended (${code ?? signal}):\n${this.output}`)
    })
    this.child = child
  }

  get running(): boolean {
    return this.child !== undefined
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.child
    this.child = undefined
    if (!child || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
}

export class Gateway {
  private readonly program = new Program('the gateway')

  constructor(readonly port: number) {}

  async start(): Promise<void> {
    if (this.program.running) return
    const address = `127.0.0.1:${this.port}`
    this.program.run(setting('TEST_GATEWAY'), ['--listen', address, '--database', setting('TEST_GATEWAY_URL')])
    await eventually('the gateway is up', async () => (await fetch(`http://${address}/healthz`)).ok)
  }

  stop = (signal?: NodeJS.Signals) => this.program.stop(signal)
}

export class App {
  private readonly program = new Program('the app')
  readonly origin: string

  constructor(
    private readonly port: number,
    private readonly gatewayPort: number
  ) {
    this.origin = `http://127.0.0.1:${port}`
  }

  async start(): Promise<void> {
    this.program.run(
      process.execPath,
      ['node_modules/next/dist/bin/next', 'start', '-H', '127.0.0.1', '-p', String(this.port)],
      {
        NODE_ENV: 'production',
        DATABASE_URL: setting('TEST_DATABASE_URL'),
        BETTER_AUTH_SECRET: 'a secret of the tests, with 32 characters',
        BETTER_AUTH_URL: this.origin,
        PUSHER_KEY: 'reading-key',
        PUSHER_HOST: '127.0.0.1',
        PUSHER_PORT: String(this.gatewayPort),
        QUICK_SIGN_UP: 'true'
      }
    )
    await eventually('the app is up', async () => (await fetch(`${this.origin}/dev/presence-test`)).ok, 30_000)
  }

  stop = () => this.program.stop()
}

// pg_ctl, as the user who may run a server.
export function pgCtl(...args: string[]): void {
  const command = [`${setting('TEST_BINDIR')}/pg_ctl`, '-D', setting('TEST_PGDATA'), '-w', '-s', ...args]
  const user = setting('TEST_SERVER_USER')
  if (user) command.unshift('runuser', '-u', user, '--')
  execFileSync(command[0]!, command.slice(1), { stdio: 'ignore' })
}

export const restartPostgres = () => pgCtl('-m', 'fast', '-l', `${setting('TEST_PGDATA')}/log`, 'restart')

// One statement as the owner of the database.
export async function asOwner(sql: string, values: unknown[] = []) {
  const client = new Client({ connectionString: setting('TEST_OWNER_URL') })
  await client.connect()
  try {
    return (await client.query(sql, values)).rows
  } finally {
    await client.end()
  }
}
