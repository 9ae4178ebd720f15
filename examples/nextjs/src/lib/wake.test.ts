import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { onWake } from './wake'

let woken: (number | null)[]
let stop: () => void
let visibility: DocumentVisibilityState

beforeEach(() => {
  vi.useFakeTimers()
  woken = []
  visibility = 'visible'
  vi.spyOn(document, 'visibilityState', 'get').mockImplementation(() => visibility)
  stop = onWake((since) => woken.push(since))
})

afterEach(() => {
  stop()
  vi.useRealTimers()
  vi.restoreAllMocks()
})

// The computer sleeps: the clock goes on, timers do not.
const sleep = (ms: number) => vi.setSystemTime(Date.now() + ms)
const show = (state: DocumentVisibilityState) => {
  visibility = state
  document.dispatchEvent(new Event('visibilitychange'))
}

describe('onWake', () => {
  it('says since when a computer slept', () => {
    const before = Date.now()
    sleep(600_000)
    vi.advanceTimersByTime(10_000)
    expect(woken).toEqual([before])
  })

  it('is not misled by slow timers of a page that is hidden', () => {
    show('hidden')
    sleep(50_000)
    vi.advanceTimersByTime(10_000)
    expect(woken).toEqual([])
    show('visible')
    expect(woken).toEqual([null])
  })

  it('knows a page that was frozen, or comes from the back/forward cache', () => {
    const before = Date.now()
    sleep(5_000)
    document.dispatchEvent(new Event('resume'))
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }))
    expect(woken).toEqual([before, before + 5_000])
  })

  it('hears of the network, and of nothing when stopped', () => {
    window.dispatchEvent(new Event('online'))
    stop()
    window.dispatchEvent(new Event('online'))
    sleep(600_000)
    vi.advanceTimersByTime(60_000)
    expect(woken).toEqual([null])
  })
})
