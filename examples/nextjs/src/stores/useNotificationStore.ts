// What this user was told, newest first. In memory only. Written by
// NotificationProvider.

import { create } from 'zustand'
import type { Notification } from '@/lib/notifications'

// The others are for the tab, not for the reader.
export type Shown = Extract<Notification, { type: 'reader-joined' }>
export type Entry = { id: number; at: number; notification: Shown }

type State = { entries: Entry[]; unread: number }
type Actions = { addNotification: (notification: Shown) => void; markAllRead: () => void; clear: () => void }

const KEPT = 50
let nextId = 0

export const useNotificationStore = create<State & Actions>()((set) => ({
  entries: [],
  unread: 0,

  addNotification: (notification) =>
    set(({ entries, unread }) => ({
      entries: [{ id: nextId++, at: Date.now(), notification }, ...entries].slice(0, KEPT),
      unread: unread + 1
    })),

  markAllRead: () => set({ unread: 0 }),

  clear: () => set({ entries: [], unread: 0 })
}))
