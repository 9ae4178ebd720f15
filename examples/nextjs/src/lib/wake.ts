// When a page begins to live again. asleepSince: it was frozen, restored from the
// back/forward cache, or the computer slept, since then or a little later: what it
// believed of its socket counts for nothing. null: it is only seen again, or the
// network is back.

type Waking = (asleepSince: number | null) => void

const TICK = 10_000
// Browsers let timers of hidden pages fire once a minute.
const LONGEST_TICK = { visible: 25_000, hidden: 75_000 }

export function onWake(wake: Waking): () => void {
  let ticked = Date.now()
  const tick = (asleep: boolean) => {
    const since = ticked
    ticked = Date.now()
    return asleep ? since : null
  }
  const overslept = (was: DocumentVisibilityState) => tick(Date.now() - ticked > LONGEST_TICK[was])

  const ticks = setInterval(() => {
    const since = overslept(document.visibilityState)
    if (since !== null) wake(since)
  }, TICK)
  const shown = () => document.visibilityState === 'visible' && wake(overslept('hidden'))
  const online = () => wake(overslept(document.visibilityState))
  const restored = (event: PageTransitionEvent) => event.persisted && wake(tick(true))
  const resumed = () => wake(tick(true))

  document.addEventListener('visibilitychange', shown)
  document.addEventListener('resume', resumed)
  window.addEventListener('online', online)
  window.addEventListener('pageshow', restored)
  return () => {
    clearInterval(ticks)
    document.removeEventListener('visibilitychange', shown)
    document.removeEventListener('resume', resumed)
    window.removeEventListener('online', online)
    window.removeEventListener('pageshow', restored)
  }
}
