import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { closeTab, joinTab, leaveEverywhere, leaveTab, pollTab, touchTab } from './presence-api'

const tab = { bookId: 'emma', connectionId: 'c' }
const at = '2026-11-25T14:00:00.000Z'
const presence = { id: '7', userId: 'u', bookId: 'emma', joinedAt: at, lastActiveAt: at, leftAt: null, isAuthor: false }

let answer: (url: string, init: RequestInit) => Response | Promise<Response>
let asked: [string, unknown][]

beforeEach(() => {
  asked = []
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    asked.push([url, JSON.parse(String(init.body))])
    return answer(url, init)
  })
})

afterEach(() => vi.unstubAllGlobals())

describe('the routes', () => {
  it('are at URLs that stay, with JSON that stays', async () => {
    answer = () => Response.json({ success: true, data: { ...presence, more: 'of a later build' } })
    expect(await joinTab(tab)).toEqual({
      success: true,
      data: { ...presence, joinedAt: new Date(at), lastActiveAt: new Date(at) }
    })
    answer = () => Response.json({ success: true, data: { joined: true } })
    expect(await touchTab(tab)).toEqual({ success: true, data: { joined: true } })
    const state = { version: '1', members: null, joined: true, left: false, authorId: null }
    answer = () => Response.json({ success: true, data: state })
    // As a server answers that is older than the page.
    expect(await pollTab(tab, '1', '7')).toEqual({ success: true, data: { ...state, added: null, removed: null } })
    answer = () => Response.json({ success: true, data: { left: true, at } })
    expect(await leaveTab(tab)).toMatchObject({ success: true, data: { left: true } })
    await leaveEverywhere('emma')
    expect(asked).toEqual([
      ['/api/presence/join', { ...tab, lease: 'connecting' }],
      ['/api/presence/touch', tab],
      ['/api/presence/poll', { ...tab, known: '1', presenceId: '7', changes: true }],
      ['/api/presence/leave', tab],
      ['/api/presence/leave', { bookId: 'emma' }]
    ])
  })

  it.each([
    [400, 'invalid'],
    [401, 'unauthorized'],
    [404, 'not-found'],
    [429, 'unavailable'],
    [500, 'unavailable'],
    [502, 'unavailable']
  ])('answer %i: %s', async (status, error) => {
    answer = () => new Response('whatever a proxy says', { status })
    expect(await leaveTab(tab)).toEqual({ success: false, error })
  })

  it('that can’t be reached, or answer with something else, are unavailable', async () => {
    answer = () => Promise.reject(new TypeError('fetch failed'))
    expect(await leaveTab(tab)).toEqual({ success: false, error: 'unavailable' })
    answer = () => new Response('<html>the hotel’s page</html>')
    expect(await leaveTab(tab)).toEqual({ success: false, error: 'unavailable' })
    answer = () => Response.json({ success: true, data: { odd: 1 } })
    expect(await leaveTab(tab)).toEqual({ success: false, error: 'unavailable' })
  })

  it('hear of a page that goes by a beacon', () => {
    const sendBeacon = vi.fn((_: string, __: string) => true)
    vi.stubGlobal('navigator', { sendBeacon })
    closeTab(tab)
    expect(sendBeacon.mock.calls).toEqual([['/api/presence/leave', JSON.stringify({ ...tab, closing: true })]])
  })
})
