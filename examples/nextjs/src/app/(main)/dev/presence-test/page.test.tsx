// The page as its parts are put together; in browsers: test/browser.

import { act, cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { FakePusher, type FakeChannel } from '../../../../../test/client/fake-pusher'
import { FakeServer, member } from '../../../../../test/client/fake-server'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { PresenceTest } from './PresenceTest'

let pusher: FakePusher
let server: FakeServer

vi.mock('@/lib/auth-client', () => ({ signOut: vi.fn(), getSession: vi.fn() }))
vi.mock('@/lib/pusher-client', () => ({ getPusherClient: () => pusher, socketHolds: () => true }))
vi.mock('@/actions/presence', () => ({
  joinRoom: (...args: [never]) => server.actions.joinRoom(...args),
  leaveRoom: (...args: [never]) => server.actions.leaveRoom(...args)
}))
vi.mock('@/lib/presence-api', () => ({
  joinTab: (...args: [never]) => server.routes.joinTab(...args),
  touchTab: (...args: [never]) => server.routes.touchTab(...args),
  pollTab: (...args: [never, never, never]) => server.routes.pollTab(...args),
  leaveTab: (...args: [never]) => server.routes.leaveTab(...args)
}))

const user = { id: 'me', name: 'Ann Sommer', image: null }
const books = [
  { id: 'test', title: 'A Road of Salt', author: 'Mara Ellison' },
  { id: 'emma', title: 'Emma', author: 'Jane Austen' }
]
const facts = () => screen.getAllByRole('definition').map(({ textContent }) => textContent)
const settle = () => act(async () => new Promise((resolve) => setTimeout(resolve, 0)))

beforeEach(() => {
  pusher = new FakePusher()
  server = new FakeServer()
  server.members = [member('mara', 1, { name: 'Mara', isAuthor: true }), member('me', 2, { name: 'Ann Sommer' })]
  vi.spyOn(Element.prototype, 'clientHeight', 'get').mockReturnValue(520)
})

afterEach(() => {
  cleanup()
  vi.restoreAllMocks()
})

async function join(book = books[0]!) {
  const page = render(<PresenceTest user={user} book={book} books={books} />)
  fireEvent.click(screen.getByRole('button', { name: 'Join' }))
  await settle()
  const channel = pusher.open.get(`presence-room-${book.id}`) as FakeChannel
  act(() => channel.succeed(['mara', 'me'].map((id) => ({ id, info: { name: id === 'me' ? 'Ann Sommer' : 'Mara' } }))))
  return { ...page, channel }
}

it('says who I am, and that I am in no room', () => {
  render(<PresenceTest user={user} book={books[0]!} books={books} />)
  expect(facts()).toEqual(['Ann Sommer me', 'none', 'none', 'Disconnected'])
  expect(screen.getByText('Join to see who is reading with you.')).toBeDefined()
})

it('joins presence-room-test: subscription, mode, members with their times, the author, the log', async () => {
  const { channel } = await join()
  expect(facts().slice(1)).toEqual(['presence-room-test', 'subscribed', 'Real time'])
  expect(screen.getAllByText('2 readers in this room').length).toBeGreaterThan(0)
  expect(screen.getByText('Author')).toBeDefined()
  expect(document.querySelectorAll('li[data-user] time')).toHaveLength(2)
  act(() => channel.add({ id: 'ben', info: { name: 'Ben' } }))
  expect(screen.getByRole('log').textContent).toContain('Ben joined')
  act(() => channel.remove('ben'))
  expect(screen.getByRole('log').textContent).toContain('Ben left')
})

it('leaves: the user, with all of his tabs', async () => {
  await join()
  fireEvent.click(screen.getByRole('button', { name: 'Leave' }))
  await settle()
  expect(server.calls.at(-1)).toBe('leave room')
  expect(screen.getByRole('button', { name: 'Join' })).toBeDefined()
  expect(usePresenceStore.getState().currentChannel).toBeNull()
})

it('another book is another room, and the reader is not in it', async () => {
  const { rerender } = await join()
  rerender(<PresenceTest user={user} book={books[1]!} books={books} />)
  await settle()
  expect(screen.getByRole('button', { name: 'Join' })).toBeDefined()
  expect(pusher.open.size).toBe(0)
})
