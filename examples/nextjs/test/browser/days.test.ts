// Ordinary days of an app in use: deploys, laptops that sleep, sign-outs, bans.

import { readFileSync } from 'node:fs'
import { createServer, request as ask, type Server } from 'node:http'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { PlainChromium, signUp, Tab } from './readers'
import { App, eventually, freePort, setting } from './services'
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
  membersOf,
  newBook,
  postgres,
  second,
  setUp
} from './world'

setUp()

// When a tab asked the server for the room, by its answers.
function requestsOf(page: Page): { at: number; path: string; status: number }[] {
  const requests: { at: number; path: string; status: number }[] = []
  page.on('response', (response) => {
    const { pathname } = new URL(response.url())
    if (response.request().method() === 'POST')
      requests.push({ at: Date.now(), path: pathname, status: response.status() })
  })
  return requests
}

describe('a deploy', { timeout: 240_000 }, () => {
  const release = setting('TEST_SECOND_RELEASE') // the same app, of another build
  const buildOf = (directory: string) => readFileSync(`${directory}/.next/BUILD_ID`, 'utf8')

  it('goes unnoticed by a tab that polls: it stays in, polls, leaves and joins', async () => {
    expect(buildOf(release)).not.toBe(buildOf(setting('TEST_RELEASE')))
    await gateway.stop('SIGKILL')
    const tab = await annJoins('Polling')
    const requests = requestsOf(tab.page)
    await app.stop()
    await app.start(release)
    try {
      const before = requests.length
      await eventually(
        'a poll of the old page by the new server',
        async () => requests.slice(before).some(({ path, status }) => path === '/api/presence/poll' && status === 200),
        60_000
      )
      expect(await membersOf(book)).toEqual([ann.id])
      expect(await tab.members()).toEqual([ann.id])
      expect(await tab.mode()).toBe('Polling')
      await tab.leave()
      await eventually('Ann left', async () => (await membersOf(book)).length === 0)
      // The action of the old page was not known, so the route was asked.
      const asked = () => requests.slice(before).filter(({ path }) => !/\/(poll|join|touch)$/.test(path))
      await eventually('both are answered', async () => asked().length === 2)
      expect(asked().map(({ path, status }) => [path, status === 200])).toEqual([
        ['/dev/presence-test', false],
        ['/api/presence/leave', true]
      ])
      await tab.page.getByRole('button', { name: 'Join' }).click()
      await eventually('Ann is back', async () => (await membersOf(book)).length === 1)
      expect(tab.problems).toEqual([])
    } finally {
      await app.stop()
      await app.start()
    }
  })
})

describe('waking', { timeout: 240_000 }, () => {
  // What playwright's Chromium never does to a page: see PlainChromium.
  const asksAnew = async (tab: Tab, before: number) => {
    await eventually('it asks', async () => (await tab.asked('poll')).some((at) => at > before))
    await tab.sees('Real time')
    expect(await tab.events()).toContain('Polling: the page was asleep')
  }

  it('a page that was frozen asks at once instead of trusting its socket', async () => {
    const chromium = await PlainChromium.launch()
    const tab = await Tab.join(await chromium.window(ann), app.origin, book)
    const browser = await tab.page.context().newCDPSession(tab.page)
    await tab.page.evaluate("document.addEventListener('freeze', () => (window.frozen = Date.now()))")
    await browser.send('Page.setWebLifecycleState', { state: 'frozen' })
    await benJoins()
    await browser.send('Page.setWebLifecycleState', { state: 'active' })
    await asksAnew(tab, await tab.page.evaluate<number>('window.frozen'))
    await tab.shows([ann, ben])
    expect((await tab.events()).filter((text) => text.endsWith('left'))).toEqual([])
    chromium.close()
  })

  it('a page from the back/forward cache asks at once, and is back in the room', async () => {
    // Chromium keeps no page in it that came with Cache-Control: no-store, as these do; Safari does. So
    // this is the app behind a proxy that takes the header away.
    const [port, inner] = [await freePort(), await freePort()]
    const proxied = new App(inner, gateway.port, postgres, { BETTER_AUTH_URL: `http://127.0.0.1:${port}` })
    const [proxy, chromium] = await Promise.all([storingProxy(port, inner), PlainChromium.launch(), proxied.start()])
    try {
      const other = await benJoins()
      const tab = await Tab.join(await chromium.window(await signUp(proxied.origin, 'Cleo Haas')), proxied.origin, book)
      await tab.page.evaluate("addEventListener('pageshow', ({ persisted }) => (window.restored = persisted))")
      await tab.page.goto(`${proxied.origin}/no-such-page`)
      const before = Date.now()
      await tab.page.goBack({ waitUntil: 'commit' })
      await eventually('it is the page that was left', () => tab.page.evaluate('window.restored === true'))
      await asksAnew(tab, before)
      await eventually('she is there', async () => (await other.members()).length === 2, 60_000)
    } finally {
      chromium.close()
      proxy.close()
      await proxied.stop()
    }
  })
})

function storingProxy(port: number, to: number): Promise<Server> {
  const server = createServer((request, answer) => {
    const { url: path, method, headers } = request
    const asked = ask({ host: '127.0.0.1', port: to, path, method, headers }, (response) => {
      delete response.headers['cache-control']
      answer.writeHead(response.statusCode!, response.headers)
      response.pipe(answer)
    })
    request.pipe(asked.on('error', () => answer.destroy()))
  })
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)))
}

describe('a session', { timeout: 240_000 }, () => {
  const cleo = () => signUp(app.origin, 'Cleo Haas')

  it('that is signed out in one tab ends in the others, whether they poll or not', async () => {
    for (const mode of ['Real time', 'Polling']) {
      if (mode === 'Polling') await gateway.stop('SIGKILL')
      const window = await second.window(await cleo())
      const [one, two] = [
        await Tab.join(window, app.origin, book, mode),
        await Tab.join(window, app.origin, book, mode)
      ]
      await one.page.getByRole('button', { name: 'Sign out' }).click()
      await two.page.getByRole('alert').filter({ hasText: 'Your session has ended' }).waitFor()
      await eventually('Cleo left', async () => (await membersOf(book)).length === 0)
    }
  })

  it('is renewed while one reads', async () => {
    const reader = await cleo()
    await asOwner(`UPDATE "session" SET "expiresAt" = now() + interval '1 day' WHERE "userId" = $1`, [reader.id])
    const tab = await Tab.open(await first.window(reader), app.origin, book)
    await eventually(
      'it is renewed',
      async () =>
        (
          await asOwner(
            `SELECT "expiresAt" > now() + interval '6 days' AS renewed FROM "session" WHERE "userId" = $1`,
            [reader.id]
          )
        )[0].renewed
    )
    await eventually('the browser knows', async () => {
      const cookies = await tab.page.context().cookies()
      const token = cookies.find(({ name }) => name.endsWith('session_token'))
      return token!.expires * 1_000 > Date.now() + 6 * 86_400_000
    })
  })

  it('of a reader who is banned ends at once: he is out, and can’t come back', async () => {
    const [admin, spammer] = [await cleo(), await signUp(app.origin, 'Spam Bot')]
    await asOwner(`UPDATE "user" SET "role" = 'admin' WHERE id = $1`, [admin.id])
    const [tab, his] = [await annJoins(), await Tab.join(await second.window(spammer), app.origin, book)]
    await tab.shows([ann, spammer])
    const response = await fetch(`${app.origin}/api/auth/admin/ban-user`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        origin: app.origin,
        cookie: admin.cookies.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`).join('; ')
      },
      body: JSON.stringify({ userId: spammer.id, banReason: 'spam' })
    })
    expect(response.status).toBe(200)
    await tab.shows([ann], 20_000)
    await his.page.getByRole('alert').filter({ hasText: 'Your session has ended' }).waitFor()
    await new Promise((resolve) => setTimeout(resolve, 10_000)) // past a heartbeat of the gateway
    expect(await membersOf(book)).toEqual([ann.id])
  })
})

it('an author hears who reads his book, wherever he is', async () => {
  const hers = await newBook(ann.id)
  const author = await Tab.open(await first.window(ann), app.origin, 'emma')
  await author.page.getByRole('button', { name: 'Join' }).waitFor()
  await eventually('she is subscribed', async () => (await author.page.locator('summary').count()) === 1)
  await eventually('she hears it', async () => {
    const tab = await benJoins('Real time', hers)
    await tab.leave()
    return (await author.page.getByLabel(/Notifications, \d+ new/).count()) === 1
  })
  await author.page.locator('summary').click()
  await author.page
    .getByRole('listitem')
    .filter({ hasText: 'Ben Okafor is reading The Long Winter Light' })
    .first()
    .waitFor()
  expect(await author.page.getByLabel('Notifications', { exact: true }).count()).toBe(1)
})
