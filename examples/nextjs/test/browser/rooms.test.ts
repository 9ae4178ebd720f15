// The acceptance criteria of presence in the reading app, in real browsers.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Chromium, membersOf, newBook, signUp, Tab, type Reader } from './readers'
import { App, asOwner, eventually, freePort, Gateway, restartPostgres } from './services'

let gateway: Gateway
let app: App
let first: Chromium
let second: Chromium
let ann: Reader
let ben: Reader
let book: string

beforeAll(async () => {
  gateway = new Gateway(await freePort())
  app = new App(await freePort(), gateway.port)
  await Promise.all([gateway.start(), app.start()])
  ann = await signUp(app.origin, 'Ann Sommer')
  ben = await signUp(app.origin, 'Ben Okafor')
})

afterAll(async () => {
  await Promise.all([app.stop(), gateway.stop('SIGKILL')])
})

beforeEach(async () => {
  ;[first, second] = await Promise.all([Chromium.launch(), Chromium.launch()])
  book = await newBook()
})

afterEach(async () => {
  await Promise.all([first.close(), second.close()])
  await asOwner('DELETE FROM book WHERE id = $1', [book])
})

const annJoins = async (mode?: string) => Tab.join(await first.window(ann), app.origin, book, mode)
const benJoins = async (mode?: string) => Tab.join(await second.window(ben), app.origin, book, mode)

// For a while that is long enough for a wrong event to come.
async function stays(tab: Tab, readers: Reader[], ms = 2_000): Promise<void> {
  const end = Date.now() + ms
  while (Date.now() < end) expect((await tab.members()).sort()).toEqual(readers.map(({ id }) => id).sort())
}

describe('a room', () => {
  it('is joined after a sign-up by name, and shows who is there', async () => {
    const page = await (await first.newContext()).newPage()
    await page.goto(`${app.origin}/dev/presence-test?book=${book}`)
    await page.getByLabel('Name').fill('Cleo Haas')
    await page.getByRole('button', { name: 'Start reading' }).click()
    await page.getByRole('button', { name: 'Join' }).click()
    await page.getByTestId('mode').getByText('Real time').waitFor()
    await page.getByText('1 reader in this room').first().waitFor()
    expect(await page.getByText('Cleo Haas (you)').count()).toBe(1)
    expect(await page.getByRole('definition').allInnerTexts()).toEqual([
      expect.stringMatching(/^Cleo Haas /),
      `presence-room-${book}`,
      'subscribed',
      'Real time'
    ])
    expect(await membersOf(book)).toHaveLength(1)
    await page.getByRole('button', { name: 'Leave' }).click()
    await eventually('the room is empty', async () => (await membersOf(book)).length === 0)
    expect(await page.getByText('Cleo Haas (you)').count()).toBe(0)
  })

  it('two browsers and three tabs see each other within 5 seconds', async () => {
    const tabs = [await annJoins()]
    const window = await second.window(ben)
    tabs.push(await Tab.join(window, app.origin, book), await Tab.join(window, app.origin, book))
    for (const tab of tabs) await tab.shows([ann, ben], 5_000)
    await tabs[0]!.page.getByText('2 readers in this room').first().waitFor()
    expect((await tabs[0]!.events()).filter((text) => text === 'Ben Okafor joined')).toHaveLength(1)
    expect(tabs.flatMap(({ problems }) => problems)).toEqual([])
  })

  it('marks the author', async () => {
    book = await newBook(ben.id)
    const tab = await annJoins()
    await benJoins()
    await tab.shows([ann, ben])
    expect(await tab.page.locator(`[data-user="${ben.id}"]`).innerText()).toContain('Author')
    expect(await tab.page.locator(`[data-user="${ann.id}"]`).innerText()).not.toContain('Author')
    expect(await tab.events()).toContain('Ben Okafor, the author, joined')
  })

  it('closing one of two tabs removes nobody, closing the other does', async () => {
    const tab = await annJoins()
    const window = await second.window(ben)
    const [one, two] = [await Tab.join(window, app.origin, book), await Tab.join(window, app.origin, book)]
    await tab.shows([ann, ben])
    await one.page.close()
    await stays(tab, [ann, ben])
    await two.page.close()
    await tab.shows([ann], 2_000)
  })

  it('leaving in one of two tabs leaves the other one in', async () => {
    const tab = await annJoins()
    const window = await second.window(ben)
    const [one, two] = [await Tab.join(window, app.origin, book), await Tab.join(window, app.origin, book)]
    await one.leave()
    await stays(tab, [ann, ben])
    expect(await two.mode()).toBe('Real time')
    await one.page.getByRole('button', { name: 'Join' }).click()
    await one.sees('Real time')
    await one.shows([ann, ben])
    expect((await tab.events()).filter((text) => text.startsWith('Ben')).length).toBe(1)
  })

  it('changes with the book', async () => {
    const tab = await annJoins()
    const other = await newBook()
    await tab.page.goto(`${app.origin}/dev/presence-test?book=${other}`)
    await eventually('Ann left', async () => (await membersOf(book)).length === 0, 5_000)
    await asOwner('DELETE FROM book WHERE id = $1', [other])
  })
})

describe('a reader who vanishes', () => {
  it('is gone at once when his browser is killed', async () => {
    const tab = await annJoins()
    await benJoins()
    await tab.shows([ann, ben])
    second.signal('SIGKILL')
    await tab.shows([ann], 2_000)
  })

  it('is gone within 30 seconds when his browser is frozen, and back when it goes on', async () => {
    const tab = await annJoins()
    const frozen = await benJoins()
    await tab.shows([ann, ben])
    second.signal('SIGSTOP')
    try {
      await tab.shows([ann], 30_000)
    } finally {
      second.signal('SIGCONT')
    }
    await tab.shows([ann, ben])
    await frozen.sees('Real time', 30_000)
    await frozen.shows([ann, ben])
  })
})

describe('without the gateway', () => {
  afterEach(() => gateway.start())

  it('the page polls, says so, and is right; with it, it is in real time again', async () => {
    const [tab, other] = [await annJoins(), await benJoins()]
    await tab.shows([ann, ben])
    const notice = tab.page.getByText('Live updates are paused')
    expect(await notice.count()).toBe(0)

    await gateway.stop('SIGKILL')
    await Promise.all([tab.sees('Polling', 5_000), other.sees('Polling', 5_000)])
    expect(await notice.isVisible()).toBe(true)
    // Past the lease of the gateway that died: the tabs hold their presence themselves.
    const end = Date.now() + 30_000
    while (Date.now() < end) {
      expect((await membersOf(book)).sort()).toEqual([ann.id, ben.id].sort())
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    await other.leave()
    await eventually('Ben left', async () => !(await membersOf(book)).includes(ben.id), 2_000)
    await tab.shows([ann], 35_000)

    await gateway.start()
    await tab.sees('Real time', 35_000)
    expect(await notice.count()).toBe(0)
    await tab.shows([ann])
    expect(await membersOf(book)).toEqual([ann.id])
  }, 120_000)

  it('nobody seems to leave when it is stopped in order', async () => {
    const [tab, other] = [await annJoins(), await benJoins()]
    await tab.shows([ann, ben])
    await gateway.stop('SIGTERM')
    await Promise.all([stays(tab, [ann, ben], 8_000), stays(other, [ann, ben], 8_000)])
    expect(await Promise.all([tab.mode(), other.mode()])).toEqual(['Polling', 'Polling'])
    expect((await membersOf(book)).sort()).toEqual([ann.id, ben.id].sort())
  })

  it('readers who join are there, and gone at once when they close the page or sign out', async () => {
    await gateway.stop('SIGKILL')
    const cleo = await signUp(app.origin, 'Cleo Haas')
    const [closes, signsOut] = await Promise.all([
      annJoins('Polling'),
      Tab.join(await second.window(cleo), app.origin, book, 'Polling')
    ])
    expect((await membersOf(book)).sort()).toEqual([ann.id, cleo.id].sort())
    await closes.page.close({ runBeforeUnload: true })
    await eventually('Ann left', async () => (await membersOf(book)).join() === cleo.id, 3_000)
    await signsOut.page.getByRole('button', { name: 'Sign out' }).click()
    await eventually('Cleo left', async () => (await membersOf(book)).length === 0, 3_000)
  })
})

it('no reader is lost when PostgreSQL restarts', async () => {
  const [tab, other] = [await annJoins(), await benJoins()]
  await tab.shows([ann, ben])
  const [before] = await asOwner(
    'SELECT array_agg(id ORDER BY id) AS ids FROM presence.room_presence WHERE book_id = $1',
    [book]
  )
  restartPostgres()
  await Promise.all([tab.sees('Real time', 45_000), other.sees('Real time', 45_000)])
  await stays(tab, [ann, ben])
  expect((await tab.events()).filter((text) => / (joined|left)$/.test(text))).toEqual(['Ben Okafor joined'])
  expect(
    await asOwner('SELECT array_agg(id ORDER BY id) AS ids FROM presence.room_presence WHERE book_id = $1', [book])
  ).toEqual([before])
  expect((await membersOf(book)).sort()).toEqual([ann.id, ben.id].sort())
})

describe('who may what', () => {
  const authorize = (tab: Tab, channel: string) =>
    tab.page.evaluate(
      async (body) => (await fetch('/api/pusher/auth', { method: 'POST', body: new URLSearchParams(body) })).status,
      { socket_id: '1.2', channel_name: channel }
    )

  it("another user's private channel is refused", async () => {
    const tab = await annJoins()
    expect(await authorize(tab, `private-user-${ann.id}`)).toBe(200)
    expect(await authorize(tab, `private-user-${ben.id}`)).toBe(403)
  })

  it('without a session there is no list', async () => {
    await annJoins()
    const page = await (await second.newContext()).newPage()
    await page.goto(`${app.origin}/dev/presence-test?book=${book}`)
    await page.getByRole('button', { name: 'Start reading' }).waitFor()
    expect(await page.content()).not.toContain('Ann Sommer')
    expect(await page.evaluate(async () => (await fetch('/api/pusher/auth', { method: 'POST' })).status)).toBe(401)
  })

  it('a session that ends ends the list', async () => {
    const cleo = await signUp(app.origin, 'Cleo Haas')
    const tab = await Tab.open(await first.window(cleo), app.origin, book)
    await asOwner('DELETE FROM "session" WHERE "userId" = $1', [cleo.id])
    await tab.page.getByRole('button', { name: 'Join' }).click()
    await tab.page.getByRole('alert').filter({ hasText: 'Your session has ended' }).waitFor()
    expect(await tab.members()).toEqual([])
    expect(await membersOf(book)).toEqual([])
  })

  it('signing out leaves the room', async () => {
    const cleo = await signUp(app.origin, 'Cleo Haas')
    const tab = await Tab.join(await first.window(cleo), app.origin, book)
    await tab.page.getByRole('button', { name: 'Sign out' }).click()
    await tab.page.getByRole('button', { name: 'Start reading' }).waitFor()
    await eventually('Cleo left', async () => (await membersOf(book)).length === 0, 3_000)
  })
})
