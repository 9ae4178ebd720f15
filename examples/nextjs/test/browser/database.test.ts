// The database is slow, restarts, is away; and nothing at all answers.

import { describe, expect, it } from 'vitest'
import { Tab } from './readers'
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
  gateway,
  idsOf,
  membersOf,
  postgres,
  setUp,
  stays
} from './world'

setUp()

describe('the database', { timeout: 240_000 }, () => {
  it('restarts: no reader is lost', async () => {
    const [tab, other] = [await annJoins(), await benJoins()]
    await tab.shows([ann, ben])
    const [before] = await asOwner(
      'SELECT array_agg(id ORDER BY id) AS ids FROM presence.room_presence WHERE book_id = $1',
      [book]
    )
    postgres.restart()
    await Promise.all([tab.sees('Real time', 90_000), other.sees('Real time', 90_000)])
    await stays(tab, [ann, ben])
    expect((await tab.events()).filter((text) => / (joined|left)$/.test(text))).toEqual(['Ben Okafor joined'])
    expect(
      await asOwner('SELECT array_agg(id ORDER BY id) AS ids FROM presence.room_presence WHERE book_id = $1', [book])
    ).toEqual([before])
    expect((await membersOf(book)).sort()).toEqual(idsOf([ann, ben]))
  })

  it('is slow: tabs wait before they ask, and never ask often', async () => {
    const tabs = [await annJoins(), await benJoins()]
    for (const tab of tabs) await tab.shows([ann, ben])
    postgres.signal('SIGSTOP')
    try {
      for (const tab of tabs) await tab.sees('Polling')
      // Long enough for a tab that does not wait to ask again and again.
      await new Promise((resolve) => setTimeout(resolve, 12_000))
    } finally {
      postgres.signal('SIGCONT')
    }
    for (const tab of tabs) {
      await tab.sees('Real time', 90_000)
      const degraded = await tab.when('the gateway has lost its database')
      const asked = [...(await tab.asked('join')), ...(await tab.asked('poll'))].sort((a, b) => a - b)
      const since = asked.filter((at) => at > degraded)
      expect(since.length).toBeGreaterThan(0)
      expect(since[0]! - degraded).toBeGreaterThan(2_990)
      // A join that fails is not followed by a poll; and what follows is ten seconds later at least.
      for (const [index, at] of since.slice(1).entries()) expect(at - since[index]!).toBeGreaterThan(9_900)
      await tab.shows([ann, ben])
    }
    expect((await membersOf(book)).sort()).toEqual(idsOf([ann, ben]))
  })

  it('is away when a page is opened: the page says so, and opens when it is back', async () => {
    const window = await first.window(ann)
    postgres.signal('SIGSTOP')
    let page
    try {
      ;({ page } = await Tab.open(window, app.origin, book))
      await page.getByRole('heading', { name: 'This page could not be opened' }).waitFor()
    } finally {
      postgres.signal('SIGCONT')
    }
    expect(await page.title()).toBe('Something went wrong · Reading rooms')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('button', { name: 'Join' }).waitFor()
  })
})

describe('when nothing answers', { timeout: 240_000 }, () => {
  it('the page says so, marks the list as old, and is right again by itself', async () => {
    const tab = await annJoins()
    await tab.shows([ann])
    await Promise.all([gateway.stop('SIGKILL'), app.stop()])
    await tab.page.getByText('No connection: this is who was here at').waitFor({ timeout: 60_000 })
    expect(await tab.members()).toEqual([ann.id])
    expect(await tab.page.locator('[data-old]').count()).toBe(1)
    await Promise.all([gateway.start(), app.start()])
    await tab.sees('Real time', 90_000)
    expect(await tab.page.locator('[data-old]').count()).toBe(0)
  })

  it('a join says so, instead of "Joining" for ever', async () => {
    const tab = await Tab.open(await first.window(ann), app.origin, book)
    await tab.page.getByRole('button', { name: 'Join' }).waitFor()
    await Promise.all([gateway.stop('SIGKILL'), app.stop()])
    await tab.page.getByRole('button', { name: 'Join' }).click()
    await tab.page.getByText('The room can’t be reached').waitFor({ timeout: 60_000 })
    expect(await tab.page.getByText('Joining …').count()).toBe(0)
    await app.start()
    await eventually('Ann is in', async () => (await membersOf(book)).length === 1, 60_000)
  })
})
