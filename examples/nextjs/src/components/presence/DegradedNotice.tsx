'use client'

import { useEffect, useState } from 'react'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { formatTime } from './format'
import styles from './Notice.module.css'

const LATE = 2_000

// Subtle, and late, for ears as for eyes: who is back within two seconds hears and
// sees nothing of it. The element for screen readers is always there, or they would
// not read what appears in it.
export function DegradedNotice() {
  const text = useLate(usePresenceStore(noticeOf))
  return <div role="status">{text && <p className={styles.notice}>{text}</p>}</div>
}

type State = Pick<ReturnType<typeof usePresenceStore.getState>, 'connectionMode' | 'unreachable' | 'members'>

function noticeOf({ connectionMode, unreachable, members }: State): string | null {
  if (unreachable && members.size === 0) return 'The room can’t be reached. Trying again.'
  if (unreachable) return `No connection: this is who was here at ${formatTime(unreachable.since)}. Trying again.`
  if (connectionMode === 'polling') return 'Live updates are paused. The list is refreshed every 30 seconds.'
  return null
}

// The value, once it has been the same for a while; null at once.
function useLate(value: string | null): string | null {
  const [late, setLate] = useState<string | null>(null)
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), value === null ? 0 : LATE)
    return () => clearTimeout(timer)
  }, [value])
  return value === null ? null : late
}
