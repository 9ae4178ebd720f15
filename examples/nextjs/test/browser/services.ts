// What the browser tests run against, and stop and start: PostgreSQL, the gateway, and
// the built app. Each file has its own of all, as they run beside each other.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { Client } from 'pg'

export function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set: run scripts/test`)
  return value
}

// Below those that the system gives to outgoing connections: nobody takes it while our server is down.
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

// Until it is true; an error counts as false.
export async function eventually(what: string, check: () => Promise<boolean>, timeout = 45_000): Promise<void> {
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

  run(command: string, args: string[], options: { env?: Record<string, string>; cwd?: string } = {}): void {
    this.output = ''
    const env = { ...process.env, ...options.env }
    const child = spawn(command, args, { ...options, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (this.output += data))
    child.on('exit', (code, signal) => {
      if (this.child === child) console.error(`${this.name} ended (${code ?? signal}):\n${this.output}`)
    })
    this.child = child
  }

  // What it said until it ended by itself.
  async ended(): Promise<string> {
    const child = this.child!
    this.child = undefined
    if (child.exitCode === null) await once(child, 'close')
    return this.output
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

// A copy of the cluster that scripts/test has made, run by the user who may run servers.
export class Postgres {
  private constructor(private readonly directory: string) {}

  static start(): Postgres {
    const postgres = new Postgres(`${setting('TEST_CLUSTERS')}/${process.pid}-${++copies}`)
    const source = new URL(setting('TEST_OWNER_URL')).searchParams.get('host')!
    postgres.run('pg_basebackup', '-h', source, '-U', 'postgres', '-D', postgres.directory, '-c', 'fast')
    postgres.control('-o', `-c unix_socket_directories=${postgres.directory}`, 'start')
    return postgres
  }

  // The database, as that role.
  url = (role: string, options = '') =>
    `postgresql://${role}@localhost/reading?host=${this.directory}${options && `&options=${encodeURIComponent(options)}`}`

  restart = () => this.control('-m', 'fast', 'restart')

  stop = () => this.control('-m', 'immediate', 'stop')

  // SIGSTOP: it keeps its connections and says nothing, as one that is overwhelmed. SIGCONT: it goes on.
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    const postmaster = Number(readFileSync(`${this.directory}/postmaster.pid`, 'utf8').split('\n')[0])
    const children = execFileSync('pgrep', ['-P', String(postmaster)], { encoding: 'utf8' })
    for (const pid of [postmaster, ...children.trim().split('\n').map(Number)]) process.kill(pid, signal)
  }

  // One statement as the owner of the database.
  async asOwner(sql: string, values: unknown[] = []) {
    const client = new Client({ connectionString: this.url('reading_owner') })
    await client.connect()
    try {
      return (await client.query(sql, values)).rows
    } finally {
      await client.end()
    }
  }

  private control = (...args: string[]) =>
    this.run('pg_ctl', '-D', this.directory, '-l', `${this.directory}/log`, '-w', '-s', ...args)

  private run(program: string, ...args: string[]): void {
    const command = [`${setting('TEST_BINDIR')}/${program}`, ...args]
    const user = setting('TEST_SERVER_USER')
    if (user) command.unshift('runuser', '-u', user, '--')
    execFileSync(command[0]!, command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' })
  }
}

let copies = 0

export class Gateway {
  private readonly program = new Program('the gateway')

  constructor(
    readonly port: number,
    private readonly postgres: Postgres,
    private readonly options: string[] = []
  ) {}

  async start(): Promise<void> {
    if (this.program.running) return
    const database = this.postgres.url('reading_gateway')
    const health = await freePort()
    const listen = ['--listen', `127.0.0.1:${this.port}`, '--admin-listen', `127.0.0.1:${health}`]
    this.program.run(setting('TEST_GATEWAY'), [...listen, '--database', database, ...this.options])
    await eventually('the gateway is up', async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).ok)
  }

  stop = (signal?: NodeJS.Signals) => this.program.stop(signal)
}

export class App {
  private readonly program = new Program('the app')
  readonly origin: string

  constructor(
    private readonly port: number,
    private readonly gatewayPort: number,
    private readonly postgres: Postgres,
    private readonly env: Record<string, string> = {}
  ) {
    this.origin = env.BETTER_AUTH_URL ?? `http://127.0.0.1:${port}`
  }

  // release: a directory with a build.
  async start(release = setting('TEST_RELEASE')): Promise<void> {
    if (this.program.running) return
    this.run(release)
    await eventually('the app is up', async () => (await fetch(`http://127.0.0.1:${this.port}/api/auth/ok`)).ok, 60_000)
  }

  outputAtEnd(): Promise<string> {
    this.run(setting('TEST_RELEASE'))
    return this.program.ended()
  }

  private run(cwd: string): void {
    const args = ['node_modules/next/dist/bin/next', 'start', '-H', '127.0.0.1', '-p', String(this.port)]
    this.program.run(process.execPath, args, {
      cwd,
      env: {
        NODE_ENV: 'production',
        DATABASE_URL: this.postgres.url('reading_app'),
        BETTER_AUTH_SECRET: 'a secret of the tests, with 32 characters',
        BETTER_AUTH_URL: this.origin,
        PUSHER_APP_ID: '1',
        PUSHER_KEY: 'reading-key',
        PUSHER_HOST: '127.0.0.1',
        PUSHER_PORT: String(this.gatewayPort),
        SIGN_UP: 'true',
        QUICK_SIGN_UP: 'true',
        PRESENCE_TEST_PAGE: 'true',
        ...this.env
      }
    })
  }

  stop = () => this.program.stop()
}
