// The gateway goes, and comes back: the page polls meanwhile, says so, and is right.

import { describe, expect, it } from 'vitest'
import { signUp, Tab } from './readers'
import { eventually } from './services'
import { ann, annJoins, app, ben, benJoins, book, gateway, idsOf, membersOf, second, setUp, stays } from './world'

setUp()

describe('the gateway goes', { timeout: 240_000 }, () => {
  it('the page polls, says so, and is right; with it, it is in real time again', async () => {
    const [tab, other] = [await annJoins(), await benJoins()]
    await tab.shows([ann, ben])
    const notice = tab.page.getByText('Live updates are paused')
    expect(await notice.count()).toBe(0)

    await gateway.stop('SIGKILL')
    await Promise.all([tab.sees('Polling'), other.sees('Polling')])
    await notice.waitFor()
    // Past the lease of the gateway that died: the tabs hold their presence themselves.
    const end = Date.now() + 30_000
    while (Date.now() < end) {
      expect((await membersOf(book)).sort()).toEqual(idsOf([ann, ben]))
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    await other.leave()
    await eventually('Ben left', async () => !(await membersOf(book)).includes(ben.id))
    await tab.shows([ann], 60_000)

    await gateway.start()
    await tab.sees('Real time', 90_000)
    expect(await notice.count()).toBe(0)
    await tab.shows([ann])
    expect(await membersOf(book)).toEqual([ann.id])
    expect([...tab.problems, ...other.problems]).toEqual([])
  })

  it('nobody seems to leave when it is stopped in order', async () => {
    const [tab, other] = [await annJoins(), await benJoins()]
    await tab.shows([ann, ben])
    await gateway.stop('SIGTERM')
    await Promise.all([stays(tab, [ann, ben], 8_000), stays(other, [ann, ben], 8_000)])
    expect(await Promise.all([tab.mode(), other.mode()])).toEqual(['Polling', 'Polling'])
    expect((await membersOf(book)).sort()).toEqual(idsOf([ann, ben]))
  })
})

describe('without the gateway', { timeout: 240_000 }, () => {
  it('who joins is there, and gone when he closes the page or signs out; a tab that polls logs it', async () => {
    await gateway.stop('SIGKILL')
    const [cleo, dora] = await Promise.all([signUp(app.origin, 'Cleo Haas'), signUp(app.origin, 'Dora Lind')])
    const tab = await annJoins('Polling')
    const [closes, signsOut] = await Promise.all([
      Tab.join(await second.window(cleo), app.origin, book, 'Polling'),
      Tab.join(await second.window(dora), app.origin, book, 'Polling')
    ])
    expect((await membersOf(book)).sort()).toEqual(idsOf([ann, cleo, dora]))
    await tab.shows([ann, cleo, dora], 60_000)
    expect(await tab.events()).toEqual(expect.arrayContaining(['Cleo Haas joined', 'Dora Lind joined']))

    await closes.page.close({ runBeforeUnload: true })
    await eventually('Cleo left', async () => !(await membersOf(book)).includes(cleo.id))
    await signsOut.page.getByRole('button', { name: 'Sign out' }).click()
    await eventually('Dora left', async () => !(await membersOf(book)).includes(dora.id))
    await tab.shows([ann], 60_000)
    expect(await tab.events()).toEqual(expect.arrayContaining(['Cleo Haas left', 'Dora Lind left']))

    // Ten seconds apart, by the page's own clock, whatever made it ask.
    const polls = await tab.asked('poll')
    expect(polls.length).toBeGreaterThan(1)
    for (const [index, at] of polls.slice(1).entries()) expect(at - polls[index]!).toBeGreaterThan(9_900)
  })
})
