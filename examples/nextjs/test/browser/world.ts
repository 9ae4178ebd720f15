// What each file of browser tests has for itself: a PostgreSQL, a gateway, the app, two
// browsers, two readers, and a book for each test.

import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { Chromium, signUp, Tab, type Reader } from './readers'
import { App, freePort, Gateway, Postgres } from './services'

export let postgres: Postgres
export let gateway: Gateway
export let app: App
export let first: Chromium
export let second: Chromium
export let ann: Reader
export let ben: Reader
export let book: string // of the test that runs; those that run at once have their own

// keepsWindows: for tests that run at once.
export function setUp({ keepsWindows = false } = {}): void {
  beforeAll(async () => {
    postgres = Postgres.start()
    gateway = new Gateway(await freePort(), postgres)
    app = new App(await freePort(), gateway.port, postgres)
    ;[first, second] = await Promise.all([Chromium.launch(), Chromium.launch(), gateway.start(), app.start()])
    ;[ann, ben] = await Promise.all([signUp(app.origin, 'Ann Sommer'), signUp(app.origin, 'Ben Okafor')])
  })

  afterAll(async () => {
    await Promise.all([first.close(), second.close(), app.stop(), gateway.stop('SIGKILL')])
    postgres.stop()
  })

  beforeEach(async () => {
    await Promise.all([gateway.start(), app.start()])
    book = await newBook()
  })

  afterEach(async () => {
    if (!keepsWindows) await Promise.all([first.closeWindows(), second.closeWindows()])
  })
}

export const asOwner = (sql: string, values: unknown[] = []) => postgres.asOwner(sql, values)

export async function newBook(author: string | null = null): Promise<string> {
  const id = `book-${randomBytes(6).toString('hex')}`
  await asOwner('INSERT INTO book VALUES ($1, $2, $3, $4)', [id, 'The Long Winter Light', 'Ada Brandt', author])
  return id
}

export const annJoins = async (mode?: string, room = book) => Tab.join(await first.window(ann), app.origin, room, mode)
export const benJoins = async (mode?: string, room = book) => Tab.join(await second.window(ben), app.origin, room, mode)

// What the database says.
export const membersOf = async (room: string): Promise<string[]> =>
  (await asOwner('SELECT user_id FROM presence.room_members($1)', [room])).map(({ user_id }) => user_id)

export const idsOf = (readers: { id: string }[]) => readers.map(({ id }) => id).sort()

// For a while that is long enough for a wrong event to come.
export async function stays(tab: Tab, readers: Reader[], ms = 2_000): Promise<void> {
  const end = Date.now() + ms
  while (Date.now() < end) {
    expect((await tab.members()).sort()).toEqual(idsOf(readers))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
