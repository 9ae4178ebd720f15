import { act, cleanup, fireEvent, render, screen, within } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { member } from '../../test/client/fake-server'
import { Avatar } from './presence/Avatar'
import { ConnectionFacts } from './presence/ConnectionFacts'
import { DegradedNotice } from './presence/DegradedNotice'
import { EventLog, useEventLog } from './presence/EventLog'
import { MemberList } from './presence/MemberList'
import { ReaderCount } from './presence/ReaderCount'
import { RefusedNotice } from './presence/RefusedNotice'

const store = usePresenceStore.getState
const crowd = (size: number) => Array.from({ length: size }, (_, index) => member(`user ${index}`, index))

beforeEach(() => {
  store().leaveChannel()
  // jsdom lays nothing out: the list is ten rows high.
  vi.spyOn(Element.prototype, 'clientHeight', 'get').mockReturnValue(520)
})
afterEach(() => {
  cleanup()
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('ReaderCount', () => {
  it.each([
    [1, '1 reader in this room'],
    [2, '2 readers in this room'],
    [10_000, '10,000 readers in this room']
  ])('says %i', (size, text) => {
    store().setMembers(crowd(size))
    render(<ReaderCount inRoom />)
    expect(screen.getByText(text)).toBeDefined()
  })

  it('says how many there are beside the avatars', () => {
    store().setMembers(crowd(9))
    const { container } = render(<ReaderCount inRoom />)
    expect(container.textContent).toContain('+3')
    act(() => store().setMembers(crowd(6)))
    expect(container.textContent).not.toContain('+')
  })

  it('says nothing outside', () => {
    store().setMembers(crowd(2))
    const { container } = render(<ReaderCount inRoom={false} />)
    expect(container.textContent).toBe('')
  })

  it('tells screen readers the latest, every other second at most', () => {
    vi.useFakeTimers()
    render(<ReaderCount inRoom />)
    const said: string[] = []
    const status = screen.getByRole('status')
    for (let size = 1; size <= 40; size++) {
      act(() => store().setMembers(crowd(size)))
      act(() => vi.advanceTimersByTime(100))
      if (status.textContent !== (said.at(-1) ?? '')) said.push(status.textContent!)
    }
    act(() => vi.advanceTimersByTime(2_000))
    expect(said).toHaveLength(2)
    expect(status.textContent).toBe('40 readers in this room')
  })
})

describe('MemberList', () => {
  it('shows members with the time they joined, marks the author and the reader', () => {
    store().setMembers([member('mara', 1_000, { name: 'Mara', isAuthor: true }), member('ann', 2_000, { name: 'Ann' })])
    render(<MemberList me="ann" />)
    const rows = within(screen.getByRole('list', { name: 'In the room' })).getAllByRole('listitem')
    expect(rows.map((row) => row.querySelector('[class*=name]')!.textContent)).toEqual(['Mara', 'Ann (you)'])
    expect(rows[0]!.textContent).toContain('Author')
    expect(rows[1]!.textContent).not.toContain('Author')
    expect(rows[0]!.querySelector('time')!.dateTime).toBe('1970-01-01T00:00:01.000Z')
  })

  it('draws those in sight of ten thousand, and tells screen readers how many there are', () => {
    store().setMembers(crowd(10_000))
    render(<MemberList me="ann" />)
    const rows = screen.getAllByRole('listitem')
    expect(rows.length).toBeLessThan(30)
    expect(rows[3]!.getAttribute('aria-posinset')).toBe('4')
    expect(rows[3]!.getAttribute('aria-setsize')).toBe('10000')
  })

  it('says that it waits, but not for ever', () => {
    render(<MemberList me="ann" />)
    expect(screen.getByText('Joining …')).toBeDefined()
    act(() => store().setUnreachable(1_000))
    expect(screen.queryByText('Joining …')).toBeNull()
    act(() => store().setMembers(crowd(2)))
    expect(screen.getByRole('region', { name: 'In the room' }).dataset.old).toBe('true')
  })
})

describe('DegradedNotice', () => {
  const text = () => screen.getByRole('status').textContent
  const wait = (ms: number) => act(() => vi.advanceTimersByTime(ms))

  beforeEach(() => {
    vi.useFakeTimers()
    render(<DegradedNotice />)
  })

  it('is late, for ears as for eyes: who is back within two seconds hears nothing', () => {
    act(() => store().setConnectionMode('polling'))
    wait(1_900)
    expect(text()).toBe('')
    act(() => store().setConnectionMode('realtime'))
    wait(5_000)
    expect(text()).toBe('')
    act(() => store().setConnectionMode('polling'))
    wait(2_000)
    expect(text()).toContain('Live updates are paused')
    act(() => store().setConnectionMode('realtime'))
    expect(text()).toBe('')
  })

  it('says when all is down, and from when the list is', () => {
    act(() => store().setUnreachable(Date.now()))
    wait(2_000)
    expect(text()).toContain('can’t be reached')
    act(() => store().setMembers(crowd(2)))
    wait(2_000)
    expect(text()).toMatch(/this is who was here at \d\d:\d\d/)
  })
})

describe('colours', () => {
  it('of the readers in one room differ, as long as there are some left', async () => {
    vi.resetModules()
    const { COLOURS, readerStyle } = await import('./colour')
    const styles = Array.from({ length: COLOURS }, (_, index) => JSON.stringify(readerStyle(`reader-${index}`)))
    expect(new Set(styles).size).toBe(COLOURS)
    expect(JSON.stringify(readerStyle('reader-0'))).toBe(styles[0])
  })
})

describe('Avatar', () => {
  it.each([
    ['Ann', 'A'],
    ['ann sommer', 'AS'],
    ['Ann van der Berg', 'AB'],
    ['🦊 fox', '🦊F'],
    ['', '']
  ])('has the initials of "%s"', (name, initials) => {
    const { container } = render(<Avatar id="x" name={name} avatarUrl={null} />)
    expect(container.textContent).toBe(initials)
  })

  it('shows initials instead of a picture that does not load', () => {
    const { container } = render(<Avatar id="x" name="Ann" avatarUrl="https://example.com/a.png" />)
    fireEvent.error(container.querySelector('img')!)
    expect(container.textContent).toBe('A')
  })
})

describe('ConnectionFacts', () => {
  const user = { id: 'u1', name: 'Ann', image: null }
  const facts = () => screen.getAllByRole('definition').map(({ textContent }) => textContent)

  it('follows the store', () => {
    render(<ConnectionFacts user={user} />)
    expect(facts()).toEqual(['Ann u1', 'none', 'none', 'Disconnected'])
    act(() => store().joinChannel('presence-room-emma'))
    expect(facts().slice(1)).toEqual(['presence-room-emma', 'subscribing', 'Disconnected'])
    act(() => store().setConnectionMode('realtime'))
    expect(facts().slice(2)).toEqual(['subscribed', 'Real time'])
    act(() => store().setConnectionMode('polling'))
    expect(facts().slice(2)).toEqual(['not available', 'Polling'])
    act(() => store().refuse('not-found'))
    expect(facts().slice(2)).toEqual(['refused', 'Disconnected'])
  })
})

describe('EventLog', () => {
  function Harness({ count }: { count: number }) {
    const log = useEventLog()
    return (
      <>
        <button
          onClick={() => Array.from({ length: count }, (_, i) => log.add({ type: 'joined', member: member(`m${i}`) }))}
        />
        <EventLog entries={log.entries} />
      </>
    )
  }

  it('shows the latest first, a hundred at most, and does not read them out', () => {
    render(<Harness count={150} />)
    expect(screen.getByText('Nothing yet.')).toBeDefined()
    fireEvent.click(screen.getByRole('button'))
    const log = screen.getByRole('log', { name: 'Events' })
    expect(log.getAttribute('aria-live')).toBe('off')
    const entries = within(log).getAllByRole('listitem')
    expect(entries).toHaveLength(100)
    expect(entries[0]!.textContent).toContain('m149 joined')
  })
})

it('RefusedNotice offers to sign in again', () => {
  render(<RefusedNotice error="unauthorized" />)
  expect(screen.getByRole('alert').textContent).toContain('session has ended')
  expect(screen.getByRole('button', { name: 'Sign in' })).toBeDefined()
})
