// Readers in browsers: accounts, Chromium processes, and tabs on the page.

import { randomBytes } from 'node:crypto'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type BrowserServer, type Page } from 'playwright-core'
import { eventually } from './services'

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

const PATIENCE = 90_000 // for a machine that is busy

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium'

// The same engine without the windows is a third of the work, and what Playwright itself would take.
const SHELL = '/usr/bin/chromium-headless-shell'
const HEADLESS = !process.env.CHROMIUM && existsSync(SHELL) ? SHELL : EXECUTABLE

// A Chromium of its own, which can be killed and frozen like a reader's.
export class Chromium {
  private constructor(
    private readonly server: BrowserServer,
    private readonly browser: Browser
  ) {}

  static async launch(...args: string[]): Promise<Chromium> {
    const server = await chromium.launchServer({ executablePath: HEADLESS, args: [...ARGUMENTS, ...args] })
    return new Chromium(server, await chromium.connect(server.wsEndpoint()))
  }

  // A window with its own cookies, signed in.
  async window(reader: Reader, options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> {
    const context = await this.browser.newContext(options)
    await context.addCookies(reader.cookies)
    return context
  }

  closeWindows = () => Promise.all(this.browser.contexts().map((context) => context.close()))

  newContext: Browser['newContext'] = (options) => this.browser.newContext(options)

  // All of its processes at once: playwright made it the leader of a group.
  signal(signal: NodeJS.Signals): void {
    process.kill(-this.server.process().pid!, signal)
  }

  close = () => this.server.close()
}

// A Chromium as readers have it: playwright's own keeps each page in sight and out of the
// back/forward cache, so that none is ever frozen.
export class PlainChromium {
  private constructor(
    private readonly child: ChildProcess,
    private readonly browser: Browser
  ) {}

  // One that does not answer when it has started is given up: such things happen to a machine that is busy.
  static async launch(attempts = 3): Promise<PlainChromium> {
    const directory = mkdtempSync(join(tmpdir(), 'chromium-'))
    const args = ['--headless=new', '--remote-debugging-port=0', `--user-data-dir=${directory}`, ...ARGUMENTS]
    const child = spawn(EXECUTABLE, args, { stdio: 'ignore', detached: true })
    try {
      return new PlainChromium(child, await PlainChromium.connect(directory))
    } catch (error) {
      if (child.exitCode === null) process.kill(-child.pid!, 'SIGKILL')
      if (attempts === 1) throw error
      return PlainChromium.launch(attempts - 1)
    }
  }

  private static async connect(directory: string): Promise<Browser> {
    let port = ''
    await eventually('Chromium is up', async () => {
      port = readFileSync(`${directory}/DevToolsActivePort`, 'utf8').split('\n')[0]!
      return port !== ''
    })
    return chromium.connectOverCDP(`http://127.0.0.1:${port}`, { noDefaults: true, timeout: PATIENCE / 3 })
  }

  async window(reader: Reader): Promise<BrowserContext> {
    const context = this.browser.contexts()[0]!
    await context.addCookies(reader.cookies)
    return context
  }

  close(): void {
    process.kill(-this.child.pid!, 'SIGKILL')
  }
}

export type Reader = { id: string; name: string; cookies: { name: string; value: string; url: string }[] }

export async function signUp(origin: string, name: string): Promise<Reader> {
  const response = await fetch(`${origin}/api/auth/sign-up/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify({ name, email: `${randomBytes(8).toString('hex')}@example.com`, password: 'correct horse' })
  })
  if (!response.ok) throw new Error(`sign-up: ${response.status} ${await response.text()}`)
  const { user } = (await response.json()) as { user: { id: string } }
  const cookies = response.headers.getSetCookie().map((header) => {
    const [pair] = header.split(';')
    const equals = pair!.indexOf('=')
    return { name: pair!.slice(0, equals), value: decodeURIComponent(pair!.slice(equals + 1)), url: origin }
  })
  return { id: user.id, name, cookies }
}

type Noted = { calls: { path: string; at: number }[] }

// Runs in the page, before anything of it: notes each call as it is made. What a browser tells of its
// resources has only those that were answered.
function noteCalls() {
  const call = window.fetch
  const calls: Noted['calls'] = []
  Object.assign(window, { calls })
  window.fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, location.href)
    calls.push({ path: url.pathname, at: performance.timeOrigin + performance.now() })
    return call(input, init)
  }
}

export class Tab {
  problems: string[] = [] // errors of scripts, and what the Content-Security-Policy refused

  private constructor(readonly page: Page) {
    page.setDefaultTimeout(PATIENCE)
    page.on('pageerror', (error) => this.problems.push(error.message))
    page.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) this.problems.push(message.text())
    })
  }

  static async open(context: BrowserContext, origin: string, book: string): Promise<Tab> {
    const tab = new Tab(await context.newPage())
    await tab.page.addInitScript(noteCalls)
    await tab.page.goto(`${origin}/dev/presence-test?book=${book}`)
    return tab
  }

  // Opens the page, joins, and waits for a mode.
  static async join(context: BrowserContext, origin: string, book: string, mode = 'Real time'): Promise<Tab> {
    const tab = await Tab.open(context, origin, book)
    await tab.page.getByRole('button', { name: 'Join' }).click()
    await tab.sees(mode)
    return tab
  }

  leave = () => this.page.getByRole('button', { name: 'Leave' }).click()

  mode = () => this.page.getByTestId('mode').innerText()

  sees = (mode: string, timeout?: number) =>
    eventually(`mode ${mode}`, async () => (await this.mode()) === mode, timeout)

  members = (): Promise<string[]> =>
    this.page.locator('[data-user]').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-user')!))

  // When the page asked one of the routes of presence, by its own clock: milliseconds since 1970.
  asked = (route: string): Promise<number[]> =>
    this.page.evaluate(
      (path) => (window as unknown as Noted).calls.filter((call) => call.path === path).map(({ at }) => at),
      `/api/presence/${route}`
    )

  // When an event of the log happened, by the same clock.
  when = async (text: string): Promise<number> =>
    Date.parse(
      (await this.page
        .getByRole('listitem')
        .filter({ hasText: text })
        .locator('time')
        .first()
        .getAttribute('datetime'))!
    )

  events = () => this.page.getByRole('log').locator('li > span').allInnerTexts()

  // Until the page shows exactly these members, in any order.
  async shows(readers: { id: string }[], timeout?: number): Promise<void> {
    const expected = readers
      .map(({ id }) => id)
      .sort()
      .join()
    let seen: string[] = []
    try {
      await eventually('', async () => (seen = await this.members()).sort().join() === expected, timeout)
    } catch {
      throw new Error(`expected ${expected}, the page shows ${seen}`)
    }
  }
}
