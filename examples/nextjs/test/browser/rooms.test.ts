// The acceptance criteria of presence in the reading app, in real browsers.

import { describe, expect, it } from 'vitest'
import { signUp, Tab } from './readers'
import { eventually } from './services'
import {
  ann,
  annJoins,
  app,
  asOwner,
  ben,
  benJoins,
  book,
  first,
  membersOf,
  newBook,
  second,
  setUp,
  stays
} from './world'

setUp()

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
    const his = await newBook(ben.id)
    const tab = await annJoins('Real time', his)
    await benJoins('Real time', his)
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
    await tab.shows([ann], 20_000)
  })

  it('leaving in one tab is the user’s leave: his other tabs show Join, in every browser', async () => {
    const tab = await annJoins()
    const window = await second.window(ben)
    const [one, two] = [await Tab.join(window, app.origin, book), await Tab.join(window, app.origin, book)]
    const elsewhere = await Tab.join(await first.window(ben), app.origin, book)
    await tab.shows([ann, ben])
    await one.leave()
    await tab.shows([ann], 20_000)
    for (const other of [two, elsewhere]) {
      await other.page.getByRole('button', { name: 'Join' }).waitFor()
      expect(await other.events()).toContain('You left, in another tab')
    }
    expect(await membersOf(book)).toEqual([ann.id])
    await stays(tab, [ann], 10_000) // past a heartbeat of the gateway
    await two.page.getByRole('button', { name: 'Join' }).click()
    await two.sees('Real time')
    await two.shows([ann, ben])
  })

  it('changes with the book', async () => {
    const tab = await annJoins()
    const other = await newBook()
    await tab.page.goto(`${app.origin}/dev/presence-test?book=${other}`)
    await eventually('Ann left', async () => (await membersOf(book)).length === 0)
  })
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
    await eventually('Cleo left', async () => (await membersOf(book)).length === 0)
  })
})
