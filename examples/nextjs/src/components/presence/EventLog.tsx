'use client'

import { useCallback, useMemo, useRef, useState } from 'react'
import type { PresenceEvent } from '@/hooks/usePresenceChannel'
import { formatSeconds, MODES } from './format'
import styles from './EventLog.module.css'

const KEPT = 100

type Entry = { id: number; at: number; text: string; kind: string }

// The last events, newest first.
export function useEventLog() {
  const [entries, setEntries] = useState<Entry[]>([])
  const nextId = useRef(0)

  const write = useCallback((text: string, kind: string) => {
    const entry = { id: nextId.current++, at: Date.now(), text, kind }
    setEntries((before) => [entry, ...before].slice(0, KEPT))
  }, [])
  const add = useCallback((event: PresenceEvent) => write(textOf(event), event.type), [write])
  const note = useCallback((text: string) => write(text, 'note'), [write])
  return useMemo(() => ({ entries, add, note }), [entries, add, note])
}

function textOf(event: PresenceEvent): string {
  switch (event.type) {
    case 'joined':
      return event.member.isAuthor ? `${event.member.name}, the author, joined` : `${event.member.name} joined`
    case 'updated':
      return `${event.member.name} changed`
    case 'left':
      return `${event.member.name} left`
    case 'mode':
      return `${MODES[event.mode]}: ${event.reason}`
    case 'left-elsewhere':
      return 'You left, in another tab'
    case 'refused':
      return `Refused: ${event.error}`
  }
}

export function EventLog({ entries }: { entries: Entry[] }) {
  return (
    <section className={`card ${styles.card}`} aria-labelledby="log-title">
      <h2 className="cardTitle" id="log-title">
        Events
      </h2>
      {entries.length === 0 ? (
        <p className={styles.empty}>Nothing yet.</p>
      ) : (
        // Not read out: the number of readers is. Focusable, so that keys can scroll it.
        <div className={styles.log} role="log" aria-live="off" aria-labelledby="log-title" tabIndex={0}>
          <ol role="list">
            {entries.map(({ id, at, text, kind }) => (
              <li key={id} className={styles.entry} data-kind={kind}>
                <time dateTime={new Date(at).toISOString()}>{formatSeconds(at)}</time>
                <span>{text}</span>
              </li>
            ))}
          </ol>
        </div>
      )}
    </section>
  )
}
