'use client'

import { useShallow } from 'zustand/react/shallow'
import type { SessionUser } from '@/lib/session'
import { usePresenceStore, type PresenceState } from '@/stores/usePresenceStore'
import { MODES } from './format'
import styles from './ConnectionFacts.module.css'

// Who am I, and how does this tab know who else is here?
export function ConnectionFacts({ user }: { user: SessionUser }) {
  const state = usePresenceStore(
    useShallow(({ currentChannel, isConnected, connectionMode, error, unreachable }) => ({
      currentChannel,
      isConnected,
      connectionMode,
      error,
      unreachable
    }))
  )
  return (
    <section className={`card ${styles.facts}`} aria-labelledby="facts-title">
      <h2 className="cardTitle" id="facts-title">
        Connection
      </h2>
      <dl className={styles.list}>
        <dt>User</dt>
        <dd>
          {user.name} <code>{user.id}</code>
        </dd>
        <dt>Channel</dt>
        <dd>{state.currentChannel ? <code>{state.currentChannel}</code> : 'none'}</dd>
        <dt>Subscription</dt>
        <dd>{subscription(state)}</dd>
        <dt>Mode</dt>
        <dd className={styles.mode} data-mode={state.connectionMode} data-testid="mode">
          {MODES[state.connectionMode]}
        </dd>
      </dl>
    </section>
  )
}

type Facts = Pick<PresenceState, 'currentChannel' | 'isConnected' | 'connectionMode' | 'error' | 'unreachable'>

function subscription({ currentChannel, isConnected, connectionMode, error, unreachable }: Facts): string {
  if (!currentChannel) return 'none'
  if (error) return 'refused'
  if (isConnected) return 'subscribed'
  return connectionMode === 'polling' || unreachable ? 'not available' : 'subscribing'
}
