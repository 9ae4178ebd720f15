// A reader who vanishes, or only seems to: killed, frozen, reloaded. All at once, as each
// mostly waits for a lease.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Chromium, signUp, Tab, type Reader } from './readers'
import { App, eventually, freePort } from './services'
import { ann, annJoins, app, asOwner, membersOf, newBook, postgres, setUp } from './world'

setUp({ keepsWindows: true })

const LINGER = 15_000

let polling: App // its gateway is not there: its tabs poll
let lingering: App // the same, and presence.linger is set

beforeAll(async () => {
  const nowhere = await freePort()
  polling = new App(await freePort(), nowhere, postgres)
  const options = `-c presence.linger=${LINGER}`
  lingering = new App(await freePort(), nowhere, postgres, { DATABASE_URL: postgres.url('reading_app', options) })
  await Promise.all([polling.start(), lingering.start()])
})

afterAll(() => Promise.all([polling.stop(), lingering.stop()]))

// Ann, in real time, and a reader in a Chromium of his own.
async function annAndAnother(at: App, mode: string) {
  const book = await newBook()
  const [chromium, reader] = await Promise.all([Chromium.launch(), signUp(at.origin, 'Ben Okafor')])
  const tab = await annJoins('Real time', book)
  const his = await Tab.join(await chromium.window(reader), at.origin, book, mode)
  await tab.shows([ann, reader])
  // It says that it polls a moment before its connection has the lease of one that does.
  if (mode === 'Polling')
    await eventually('it has the lease of one', async () => {
      const long = `SELECT FROM presence.connections WHERE book_id = $1 AND user_id = $2 AND ttl > '1 min'`
      return (await asOwner(long, [book, reader.id])).length > 0
    })
  // Until he has left what he joined with before, he is held by that as well, for a lease.
  else
    await eventually('he is there by one connection', async () => {
      const his = `SELECT FROM presence.connections WHERE book_id = $1 AND user_id = $2`
      return (await asOwner(his, [book, reader.id])).length === 1
    })
  return { book, chromium, reader, tab, his }
}

const comings = async (tab: Tab) => (await tab.events()).filter((text) => / (joined|left)$/.test(text))
const endOf = async (book: string, reader: Reader) =>
  (
    await asOwner(
      `SELECT leave_reason AS reason, extract(epoch FROM left_at - last_active_at)::float8 AS silent,
         (extract(epoch FROM left_at) * 1000)::float8 AS at
       FROM presence.room_presence WHERE book_id = $1 AND user_id = $2 AND left_at IS NOT NULL`,
      [book, reader.id]
    )
  )[0]

describe.concurrent('a reader who vanishes', { timeout: 300_000 }, () => {
  it('is gone when his browser is killed, long before his lease ends', async () => {
    const { book, chromium, reader, tab } = await annAndAnother(app, 'Real time')
    const killedAt = Date.now()
    chromium.signal('SIGKILL')
    await tab.shows([ann], 60_000)
    expect((await endOf(book, reader)).at - killedAt).toBeLessThan(15_000)
  })

  it('is gone within 30 seconds when his browser is frozen, and back when it goes on', async () => {
    const { book, chromium, reader, tab, his } = await annAndAnother(app, 'Real time')
    const frozenAt = Date.now()
    chromium.signal('SIGSTOP')
    try {
      await tab.shows([ann], 60_000)
    } finally {
      chromium.signal('SIGCONT')
    }
    expect((await endOf(book, reader)).at - frozenAt).toBeLessThan(30_000)
    await tab.shows([ann, reader], 60_000)
    await his.sees('Real time', 60_000)
    await his.shows([ann, reader])
    await chromium.close()
  })

  it('is gone when the lease of 75 seconds ends if he polled, and not before', async () => {
    const { book, chromium, reader, tab } = await annAndAnother(polling, 'Polling')
    chromium.signal('SIGKILL')
    await tab.shows([ann], 120_000)
    const { reason, silent } = await endOf(book, reader)
    expect(reason).toBe('timeout')
    expect(silent).toBeGreaterThan(74)
    expect(silent).toBeLessThan(80)
  })
})

describe.concurrent('with presence.linger', { timeout: 300_000 }, () => {
  it('a page that polls and is reloaded shows the others neither a leave nor a join', async () => {
    const { book, chromium, reader, tab, his } = await annAndAnother(lingering, 'Polling')
    await his.page.reload()
    await his.page.getByRole('button', { name: 'Join' }).click()
    await his.sees('Polling')
    // The connection of the page before is gone, that of the new one holds.
    await eventually(
      'one connection',
      async () =>
        (await asOwner('SELECT connections FROM presence.room_members($1) WHERE user_id = $2', [book, reader.id]))[0]
          .connections === 1,
      LINGER * 3
    )
    await tab.shows([ann, reader])
    expect(await comings(tab)).toEqual(['Ben Okafor joined'])
    await chromium.close()
  })

  it('a page that polls and is closed is gone after it', async () => {
    const { book, chromium, reader, tab, his } = await annAndAnother(lingering, 'Polling')
    await his.page.close({ runBeforeUnload: true })
    await tab.shows([ann], LINGER * 3)
    expect((await endOf(book, reader)).silent).toBeLessThan(LINGER / 1_000 + 5)
    expect(await membersOf(book)).toEqual([ann.id])
    await chromium.close()
  })
})
