// A PostgreSQL of the harness: its life, its processes, what is short there.
import { execFile } from 'node:child_process'
import { chmodSync, closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { sleep, until } from '../../gateway/test/harness.mjs'

const run = promisify(execFile)
const { bindir, CHAOS_WORK: work, CHAOS_PRELOAD: preload } = process.env
export const pg = createRequire(new URL('../../gateway/test/', import.meta.url))('pg')

export const signal = (pid, name) => {
  if (!pid) return false // there is none; 0 would be all of us
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false // it has ended
  }
}

export class Server {
  // settings: lines of postgresql.conf
  constructor(name, port, settings = []) {
    Object.assign(this, { name, port, settings, data: `${work}/${name}`, log: `${work}/${name}.log`, faults: `${work}/${name}-faults` })
    rmSync(this.data, { recursive: true, force: true })
    rmSync(this.log, { force: true })
    rmSync(this.faults, { recursive: true, force: true })
    mkdirSync(this.faults)
    this.clock = 0
    this.step(0)
  }

  get connection() {
    return { host: work, port: this.port, user: 'postgres', database: 'chaos' }
  }

  copyOf(template) {
    cpSync(template.data, this.data, { recursive: true })
    this.configure()
  }

  configure() {
    chmodSync(this.data, 0o700)
    writeFileSync(`${this.data}/postgresql.conf`, ['', ...this.settings, ''].join('\n'), { flag: 'a' })
  }

  async initialize() {
    await run(`${bindir}/initdb`, ['-D', this.data, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C', '--wal-segsize=1'])
    this.configure()
  }

  createDatabase(name) {
    return run(`${bindir}/createdb`, ['-h', work, '-p', String(this.port), '-U', 'postgres', name])
  }

  async standbyOf(primary) {
    await run(`${bindir}/pg_basebackup`, ['-D', this.data, '-h', work, '-p', String(primary.port), '-U', 'postgres', '-R', '-X', 'stream', '-c', 'fast'])
    chmodSync(this.data, 0o700)
  }

  ctl(...args) {
    return run(`${bindir}/pg_ctl`, ['-D', this.data, ...args], { env: { ...process.env, LD_PRELOAD: preload, FAULTS: this.faults, CLOCK_FILE: `${this.faults}/clock` } })
  }

  start() {
    return this.ctl('start', '-w', '-t', '60', '-l', this.log, '-o', `-p ${this.port} -k ${work} -c listen_addresses=`)
  }

  // Whatever happened to it: it runs, and takes connections.
  async ensure() {
    await until(`${this.name} runs`, async () => {
      if (await this.answers()) return true
      if (!this.postmaster()) await this.start().catch(() => {})
      return false
    }, 60_000)
  }

  async answers() {
    try {
      await this.query('SELECT 1')
      return true
    } catch {
      return false
    }
  }

  async query(text, values) {
    const client = new pg.Client({ ...this.connection, application_name: 'harness', connectionTimeoutMillis: 5000, query_timeout: 20_000, lock_timeout: 2000 })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query(text, values)).rows
    } finally {
      client.end().catch(() => {})
    }
  }

  // Its pid, if it runs.
  postmaster() {
    try {
      const pid = Number(readFileSync(`${this.data}/postmaster.pid`, 'utf8').split('\n')[0])
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(this.data) ? pid : null
    } catch {
      return null
    }
  }

  // Its processes whose title matches.
  processes(title) {
    const parent = this.postmaster()
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
      try {
        return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1]) === parent &&
          title.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
      } catch {
        return false
      }
    }).sort((a, b) => a - b)
  }

  backends() {
    return this.processes(/^postgres: (postgres|gateway) chaos /)
  }

  worker() {
    return this.processes(/^postgres: presence worker/)[0] ?? null
  }

  // What faults.c looks for.
  begin(fault) {
    writeFileSync(`${this.faults}/${fault}`, '')
  }

  end(fault) {
    rmSync(`${this.faults}/${fault}`, { force: true })
  }

  // The clock, by so many seconds.
  step(seconds) {
    this.clock += seconds
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(this.clock))
    const file = openSync(`${this.faults}/clock`, existsSync(`${this.faults}/clock`) ? 'r+' : 'w')
    writeSync(file, bytes, 0, 8, 0)
    closeSync(file)
  }

  async set(name, value) {
    await this.query(`ALTER SYSTEM SET ${name} = '${value}'`)
    await this.query('SELECT pg_reload_conf()')
  }

  async reset(name) {
    await this.query(`ALTER SYSTEM RESET ${name}`)
    await this.query('SELECT pg_reload_conf()')
  }

  // For good.
  async remove() {
    for (const pid of this.processes(/./)) signal(pid, 'SIGCONT')
    const pid = this.postmaster()
    if (pid) signal(pid, 'SIGCONT')
    await this.ctl('stop', '-m', 'immediate', '-w').catch(() => {})
    await until(`${this.name} has ended`, () => !this.postmaster())
    await sleep(50)
    rmSync(this.data, { recursive: true, force: true, maxRetries: 5 })
  }
}
