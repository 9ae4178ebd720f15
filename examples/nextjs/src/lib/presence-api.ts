// The routes of presence, for the browser. Not actions: their URLs outlive a
// deploy, and they don't wait for each other.

import { z } from 'zod'
import {
  failure,
  roomPresence,
  roomState,
  type ActionError,
  type ActionResult,
  type RoomPresence,
  type RoomState
} from './members'

const TIMEOUT = 10_000

const ERRORS: Record<number, ActionError> = { 400: 'invalid', 401: 'unauthorized', 404: 'not-found' }

// A call that fails (no network) or hangs, and whatever a proxy answers in its place, is 'unavailable'.
async function post<T>(path: string, body: object, schema: z.ZodType<T>): Promise<ActionResult<T>> {
  try {
    const response = await fetch(`/api/presence/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      cache: 'no-store',
      keepalive: true,
      signal: AbortSignal.timeout(TIMEOUT)
    })
    if (!response.ok) return failure(ERRORS[response.status] ?? 'unavailable')
    const { data } = (await response.json()) as { data: unknown }
    return { success: true, data: schema.parse(data) }
  } catch {
    return failure('unavailable')
  }
}

export type Tab = { bookId: string; connectionId: string }
const touched = z.object({ joined: z.boolean() })
const left = z.object({ left: z.boolean(), at: z.coerce.date() })

export const joinTab = (tab: Tab): Promise<ActionResult<RoomPresence>> =>
  post('join', { ...tab, lease: 'connecting' }, roomPresence)

// Gives a connection that is there the lease of one that polls; opens none.
export const touchTab = (tab: Tab) => post('touch', tab, touched)

export const pollTab = (tab: Tab, known: string | null, presenceId: string | null): Promise<ActionResult<RoomState>> =>
  post('poll', { ...tab, known, presenceId, changes: true }, roomState)

// Ends this tab's connection.
export const leaveTab = (tab: Tab) => post('leave', tab, left)

// As the action leaveRoom.
export const leaveEverywhere = (bookId: string) => post('leave', { bookId }, left)

// For a page that is going.
export const closeTab = (tab: Tab) =>
  navigator.sendBeacon('/api/presence/leave', JSON.stringify({ ...tab, closing: true }))
