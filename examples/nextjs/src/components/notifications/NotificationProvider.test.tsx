import { act, cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { NOTIFICATION } from '@/lib/notifications'
import { useNotificationStore } from '@/stores/useNotificationStore'
import { FakePusher } from '../../../test/client/fake-pusher'
import { NotificationProvider } from './NotificationProvider'
import { Notifications } from './Notifications'

const HOUR = 3_600_000

let pusher: FakePusher
let session: { data: object | null; error: object | null } // what the server answers
let asked: number

vi.mock('@/lib/pusher-client', () => ({ getPusherClient: () => pusher }))
vi.mock('@/lib/auth-client', () => ({
  getSession: async () => {
    asked++
    return session
  }
}))

beforeEach(() => {
  vi.useFakeTimers()
  pusher = new FakePusher()
  session = { data: {}, error: null }
  asked = 0
})

afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

const enter = async (userId = 'ann') => {
  const view = render(
    <NotificationProvider userId={userId}>
      <Notifications />
    </NotificationProvider>
  )
  await act(() => vi.advanceTimersByTimeAsync(0))
  return view
}
const hear = (data: object, userId = 'ann') =>
  act(async () => pusher.open.get(`private-user-${userId}`)!.emit(NOTIFICATION, data))

describe('NotificationProvider', () => {
  it('signs in, and subscribes to the user’s own channel', async () => {
    await enter()
    expect(pusher.calls).toEqual(['signin', 'subscribe private-user-ann'])
  })

  it('shows what it hears, as new until the list is opened', async () => {
    const { container } = await enter()
    await hear({ type: 'reader-joined', readerName: 'Ben', bookId: 'emma', title: 'Emma' })
    expect(screen.getByLabelText('Notifications, 1 new')).toBeDefined()
    expect(screen.getByRole('status').textContent).toBe('Ben is reading Emma')
    const menu = container.querySelector('details')!
    menu.open = true
    fireEvent(menu, new Event('toggle'))
    expect(screen.getByLabelText('Notifications')).toBeDefined()
    expect(screen.getByRole('listitem').textContent).toContain('Ben is reading Emma')
  })

  it('shows nothing of what another build may say', async () => {
    await enter()
    await hear({ type: 'something-else' })
    expect(useNotificationStore.getState().entries).toEqual([])
  })

  it('renews the session at once and every hour, and asks when one has ended', async () => {
    await enter()
    expect(asked).toBe(1)
    await act(() => vi.advanceTimersByTimeAsync(HOUR))
    expect(asked).toBe(2)
    await hear({ type: 'session-ended' })
    expect(asked).toBe(3)
    expect(pusher.calls).not.toContain('disconnect')
  })

  it('closes the socket of a session that has ended, and not for an error', async () => {
    session = { data: null, error: { status: 429 } }
    await enter()
    expect(pusher.calls).not.toContain('disconnect')
    session = { data: null, error: null }
    await hear({ type: 'session-ended' })
    expect(pusher.calls).toContain('disconnect')
  })

  it('leaves nothing behind for the next user', async () => {
    const view = await enter()
    await hear({ type: 'reader-joined', readerName: 'Ben', bookId: 'emma', title: 'Emma' })
    view.unmount()
    expect(pusher.open.size).toBe(0)
    expect(pusher.bound).toBe(0)
    expect(useNotificationStore.getState()).toMatchObject({ entries: [], unread: 0 })
    await act(() => vi.advanceTimersByTimeAsync(3 * HOUR))
    expect(asked).toBe(1)
  })
})
