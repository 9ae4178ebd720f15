// What the page is like: for the keyboard, for screen readers, in the dark,
// without motion, on a phone, and in a room of ten thousand.

import { createRequire } from 'node:module'
import { mkdirSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { Tab } from './readers'
import { ann, app, asOwner, book, first, gateway, setUp } from './world'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

setUp()

async function violations(page: Page): Promise<string[]> {
  await page.addScriptTag({ path: AXE })
  const found = await page.evaluate(
    'axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] })'
  )
  return (found as { violations: { id: string; nodes: { html: string }[] }[] }).violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html }) => `${id}: ${html}`)
  )
}

// A picture of a state, for who looks at them: PICTURES=directory.
async function picture(page: Page, name: string): Promise<void> {
  const directory = process.env.PICTURES
  if (!directory) return
  mkdirSync(directory, { recursive: true })
  await page.screenshot({ path: `${directory}/${name}.png`, animations: 'disabled' })
}

// Who is there when Ann comes, oldest first; and who comes then.
const READERS = ['Mara Ellison', 'Tom Ferreira', 'Ines Okafor', 'Jun Watanabe', 'Sofie Lindqvist', 'Mateo Rossi']
const LATECOMERS = ['Amara Diallo', 'Priya Raman', 'Lukas Brandt']

async function joins(name: string, minutesAgo: number): Promise<void> {
  await asOwner(
    `SELECT presence.join_room($1, 'test', '', jsonb_build_object('name', $1::text), $1 = 'Mara Ellison', '5 min')`,
    [name]
  )
  if (minutesAgo > 0)
    await asOwner(
      `UPDATE presence.room_presence SET joined_at = now() - make_interval(mins => $2)
       WHERE book_id = 'test' AND user_id = $1 AND left_at IS NULL`,
      [name, minutesAgo]
    )
}

const coloursOf = (page: Page) =>
  page
    .locator('[data-user] > span:first-child')
    .evaluateAll((avatars) => avatars.map((avatar) => getComputedStyle(avatar).backgroundColor))

describe.each(['light', 'dark'] as const)('in the %s', (colorScheme) => {
  it('axe finds nothing in any state', async () => {
    const size = { viewport: { width: 1120, height: 864 }, colorScheme, reducedMotion: 'reduce' } as const
    const out = await (await first.newContext(size)).newPage()
    await out.goto(`${app.origin}/dev/presence-test`)
    expect(await violations(out)).toEqual([])
    await picture(out, `sign-in-${colorScheme}`)
    await out.getByRole('button', { name: 'Create an account' }).click()
    expect(await violations(out)).toEqual([])

    await asOwner("DELETE FROM book WHERE id LIKE 'book-%'") // not in the picture
    await asOwner("SELECT presence.forget_book('test')")
    for (const [index, name] of READERS.entries()) await joins(name, 54 - index * 9)
    const tab = await Tab.open(await first.window(ann, size), app.origin, 'test')
    await tab.page.getByRole('button', { name: 'Join' }).waitFor()
    expect(await violations(tab.page)).toEqual([])
    await picture(tab.page, `outside-${colorScheme}`)
    await tab.page.getByRole('button', { name: 'Join' }).click()
    await tab.sees('Real time')
    for (const name of LATECOMERS) await joins(name, 0)
    await tab.page.getByText('10 readers in this room').first().waitFor()
    await asOwner("SELECT presence.leave_room('Tom Ferreira', 'test')")
    await tab.page.getByText('9 readers in this room').first().waitFor()
    await tab.page.getByText('+3', { exact: true }).waitFor()
    expect(new Set(await coloursOf(tab.page)).size).toBe(9)
    expect(await violations(tab.page)).toEqual([])
    await picture(tab.page, `room-${colorScheme}`)
    await gateway.stop('SIGKILL')
    await tab.sees('Polling')
    await tab.page.getByText('Live updates are paused').waitFor()
    expect(await violations(tab.page)).toEqual([])
    await picture(tab.page, `degraded-${colorScheme}`)
    await gateway.start()
    await tab.page.setViewportSize({ width: 360, height: 780 })
    expect(await tab.page.evaluate('document.documentElement.scrollWidth')).toBe(360)
    await picture(tab.page, `phone-${colorScheme}`)
    await tab.page.context().close()
  })
})

it('is joined and left by keyboard, and the focus stays', async () => {
  const { page } = await Tab.open(await first.window(ann), app.origin, book)
  const focused = () => page.evaluate('document.activeElement.textContent')
  for (let presses = 0; (await focused()) !== 'Join' && presses < 30; presses++) await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Leave' }).waitFor()
  expect(await focused()).toBe('Leave')
  await page.keyboard.press('Space')
  await page.getByRole('button', { name: 'Join' }).waitFor()
  expect(await focused()).toBe('Join')
})

it('tells screen readers how many readers there are', async () => {
  const tab = await Tab.join(await first.window(ann), app.origin, book)
  await tab.page.getByRole('status').getByText('1 reader in this room', { exact: true }).waitFor()
  await asOwner("SELECT presence.join_room('tom', $1)", [book])
  await tab.page.getByRole('status').getByText('2 readers in this room', { exact: true }).waitFor()
})

it('moves nothing for who wants no motion', async () => {
  const animated = async (reducedMotion: 'reduce' | 'no-preference') => {
    const tab = await Tab.join(await first.window(ann, { reducedMotion }), app.origin, book)
    await tab.page.locator('[data-user]').waitFor()
    return tab.page.locator('[data-user]').evaluate((row) => getComputedStyle(row).animationName !== 'none')
  }
  expect(await animated('no-preference')).toBe(true)
  expect(await animated('reduce')).toBe(false)
})

it('stays smooth in a room of ten thousand', async () => {
  await asOwner(
    `SELECT count(*) FROM presence.join_rooms(
       ARRAY(SELECT 'reader ' || n FROM generate_series(1, 10000) AS n), array_fill($1::text, '{10000}'), NULL,
       ARRAY(SELECT jsonb_build_object('name', 'Reader ' || n) FROM generate_series(1, 10000) AS n), '5 min')`,
    [book]
  )
  const tab = await Tab.join(await first.window(ann), app.origin, book)
  await tab.page.getByText('10,001 readers in this room').first().waitFor()
  await picture(tab.page, 'ten-thousand')
  expect(await tab.page.evaluate('document.querySelectorAll("*").length')).toBeLessThan(1_000)

  // The longest time in which the page drew nothing, while 100 more come, one by one. The best
  // of three: a machine that is busy elsewhere stutters once, a page that is slow each time.
  const longest: number[] = []
  for (const round of [1, 2, 3]) {
    await tab.page.evaluate(`
      window.longest = 0
      window.before = performance.now()
      window.round = ${round}
      requestAnimationFrame(function frame(now) {
        if (window.round !== ${round}) return
        window.longest = Math.max(window.longest, now - window.before)
        window.before = now
        requestAnimationFrame(frame)
      })`)
    await asOwner(
      `DO $$BEGIN FOR n IN 1..100 LOOP
         PERFORM presence.join_room('late ${round} ' || n, '${book}'); COMMIT;
       END LOOP; END$$`
    )
    await tab.page.getByText(`10,${round}01 readers in this room`).first().waitFor()
    longest.push(await tab.page.evaluate<number>('window.longest'))
  }
  expect(Math.min(...longest)).toBeLessThan(500)
  expect(tab.problems).toEqual([])
})
