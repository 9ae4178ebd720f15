// What is said to all tabs of a user: by the server, on private-user-{id}, and by
// the tabs of one browser to each other, which needs no server.

import { notification, type Notification } from './notifications'

type Listener = (event: Notification) => void

const listeners = new Set<Listener>()
let tabs: BroadcastChannel | undefined

const hear = (data: unknown) => {
  const parsed = notification.safeParse(data) // another build may say other things
  if (parsed.success) for (const listener of [...listeners]) listener(parsed.data)
}

// As it came from the server.
export const hearFromServer = hear

export function tellOtherTabs(event: Notification): void {
  open()?.postMessage(event)
}

export function onUserEvent(listener: Listener): () => void {
  open()
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

function open(): BroadcastChannel | undefined {
  if (tabs || typeof BroadcastChannel === 'undefined') return tabs
  tabs = new BroadcastChannel('reading-rooms')
  tabs.onmessage = ({ data }) => hear(data)
  return tabs
}
