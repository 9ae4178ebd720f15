// Readers in browsers: accounts, Chromium processes, and tabs on the page.

import { randomBytes } from 'node:crypto'
import { chromium, type Browser, type BrowserContext, type BrowserServer, type Page } from 'playwright-core'
import { asOwner, eventually } from './services'

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

// A Chromium of its own, which can be killed and frozen like a reader's.
export class Chromium {
  private constructor(
    private readonly server: BrowserServer,
    private readonly browser: Browser
  ) {}

  static async launch(): Promise<Chromium> {
    const server = await chromium.launchServer({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ARGUMENTS
    })
    return new Chromium(server, await chromium.connect(server.wsEndpoint()))
  }

  // A window with its own cookies, signed in.
  async window(reader: Reader, options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> {
    const context = await this.browser.newContext(options)
    await context.addCookies(reader.cookies)
    return context
  }

  newContext: Browser['newContext'] = (options) => this.browser.newContext(options)

  // All of its processes at once: playwright made it the leader of a group.
  signal(signal: NodeJS.Signals): void {
    process.kill(-this.server.process().pid!, signal)
  }

  close = () => this.server.close()
}

export type Reader = { id: string; name: string; cookies: { name: string; value: string; url: string }[] }

let addresses = 0

export async function signUp(origin: string, name: string): Promise<Reader> {
  const response = await fetch(`${origin}/api/auth/sign-up/email`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      origin,
      // better-auth limits sign-ups from one address.
      'x-forwarded-for': `192.0.2.${++addresses}`
    },
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

export async function newBook(author: string | null = null): Promise<string> {
  const id = `book-${randomBytes(6).toString('hex')}`
  await asOwner('INSERT INTO book VALUES ($1, $2, $3, $4)', [id, 'A Book', 'An Author', author])
  return id
}

// What the database says.
export const membersOf = async (book: string): Promise<string[]> =>
  (await asOwner('SELECT user_id FROM presence.room_members($1)', [book])).map(({ user_id }) => user_id)

export class Tab {
  problems: string[] = []

  private constructor(readonly page: Page) {
    page.on('pageerror', (error) => this.problems.push(error.message))
  }

  static async open(context: BrowserContext, origin: string, book: string): Promise<Tab> {
    const tab = new Tab(await context.newPage())
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
      throw new Error(`not within ${timeout ?? 15_000} ms: expected ${expected}, the page shows ${seen}`)
    }
  }
}
