import { act, cleanup, renderHook } from '@testing-library/react'
import { StrictMode } from 'react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { hearFromServer } from '@/lib/user-events'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { FakePusher, type FakeChannel } from '../../test/client/fake-pusher'
import { FakeServer, member } from '../../test/client/fake-server'
import { usePresenceChannel, type PresenceEvent } from './usePresenceChannel'

const ROOM = 'presence-room-emma'
const BOUND = 7 // the socket's state, and six events of the channel

let pusher: FakePusher
let holds: boolean // a gateway's sockets do; Pusher's do not
let server: FakeServer
let events: PresenceEvent[]

vi.mock('@/lib/pusher-client', () => ({ getPusherClient: () => pusher, socketHolds: () => holds }))
vi.mock('@/actions/presence', () => ({
  joinRoom: (...args: [never]) => server.actions.joinRoom(...args),
  leaveRoom: (...args: [never]) => server.actions.leaveRoom(...args)
}))
vi.mock('@/lib/presence-api', () => ({
  joinTab: (...args: [never]) => server.routes.joinTab(...args),
  touchTab: (...args: [never]) => server.routes.touchTab(...args),
  pollTab: (...args: [never, never, never]) => server.routes.pollTab(...args),
  leaveTab: (...args: [never]) => server.routes.leaveTab(...args),
  leaveEverywhere: (...args: [never]) => server.routes.leaveEverywhere(...args),
  closeTab: (...args: [never]) => server.routes.closeTab(...args)
}))
vi.mock('next/navigation', () => ({
  unstable_isUnrecognizedActionError: (error: Error) => error.name === 'UnrecognizedActionError'
}))

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  pusher = new FakePusher()
  holds = true
  server = new FakeServer()
  server.members = [member('me')]
  events = []
})

afterEach(() => {
  cleanup()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const store = usePresenceStore.getState
const ids = () => [...store().members.keys()]
const channel = () => pusher.open.get(ROOM) as FakeChannel
const after = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms))
const onEvent = (event: PresenceEvent) => void events.push(event)
const told = () => events.filter(({ type }) => type === 'joined' || type === 'left' || type === 'updated')
const tellAll = (data: object) => act(async () => hearFromServer(data))

const hide = () => act(() => void window.dispatchEvent(new Event('pagehide')))

// The server's answers wait, until the function that this returns is called.
function hold(): () => void {
  let open = () => {}
  server.gate = new Promise((resolve) => (open = resolve))
  return () => open()
}

function enter(book: string | null = 'emma', strict = false) {
  return renderHook(({ bookId }) => usePresenceChannel(bookId, { onEvent }), {
    initialProps: { bookId: book },
    ...(strict && { wrapper: StrictMode })
  })
}

const succeed = (...others: string[]) =>
  act(() => channel().succeed(['me', ...others].map((id) => ({ id, info: { name: id } }))))

// In the room, in real time, with these members; calls are counted from here.
async function enterLive(...others: string[]) {
  server.members = ['me', ...others].map((id, index) => member(id, index))
  const hook = enter()
  await after(0)
  succeed(...others)
  await after(0)
  return hook
}

async function enterPolling(...others: string[]) {
  const hook = await enterLive(...others)
  act(() => pusher.become('unavailable'))
  await after(500) // joins
  await after(10_000) // reads
  server.calls = []
  return hook
}

describe('joining', () => {
  it('joins, then subscribes, and is in real time when that has succeeded, not before', async () => {
    const { result } = enter()
    expect(result.current).toMatchObject({ currentChannel: ROOM, connectionMode: 'disconnected', isConnected: false })
    expect(pusher.calls).toEqual([])
    await after(0)
    expect(server.calls).toEqual(['join', 'poll null'])
    expect(server.actions.joinRoom).toHaveBeenCalledWith('emma', { connectionId: expect.any(String) })
    expect(pusher.calls).toEqual([`subscribe ${ROOM}`])
    expect(result.current.connectionMode).toBe('disconnected')
    expect(ids()).toEqual(['me'])
    succeed()
    expect(result.current).toMatchObject({ connectionMode: 'realtime', isConnected: true })
  })

  it('without a listener', async () => {
    const { result } = renderHook(() => usePresenceChannel('emma'))
    await after(0)
    succeed()
    act(() => channel().add({ id: 'ben', info: {} }))
    expect(result.current.connectionMode).toBe('realtime')
    expect(ids()).toEqual(['me', 'ben'])
  })

  it("hands its presence over to the gateway's socket, and asks nothing more", async () => {
    await enterLive()
    expect(server.calls).toEqual(['join', 'poll null', 'leave tab'])
    await after(10 * 60_000)
    expect(server.calls).toHaveLength(3)
  })

  it('holds its presence itself with a Pusher account', async () => {
    holds = false
    await enterLive()
    expect(server.calls).toEqual(['join', 'poll null', 'join tab', 'touch'])
    await after(70_000)
    expect(server.calls.slice(4)).toEqual(['poll v1', 'poll v1', 'poll v1'])
  })

  it('takes join times and the author from the database, who is there from the channel', async () => {
    server.members = [member('ann', 10), member('gone', 20), member('mara', 30, { isAuthor: true })]
    enter()
    await after(0)
    act(() => channel().succeed(['mara', 'ann', 'new'].map((id) => ({ id, info: { name: id.toUpperCase() } }))))
    expect(ids()).toEqual(['ann', 'mara', 'new'])
    expect(store().members.get('ann')).toMatchObject({ name: 'ANN', joinedAt: 10, isAuthor: false })
    expect(store().members.get('mara')).toMatchObject({ joinedAt: 30, isAuthor: true })
  })

  it.each(['unauthorized', 'not-found'] as const)('stops and shows no list if it is %s', async (error) => {
    server.error = error
    const { result } = enter()
    await after(60_000)
    expect(result.current).toMatchObject({ error, connectionMode: 'disconnected' })
    expect(server.calls).toEqual(['join'])
    expect(pusher.bound).toBe(0)
    expect(events).toEqual([{ type: 'refused', error }])
  })

  it('of a page that is older than the server goes by the routes', async () => {
    const unknown = Object.assign(new Error('unknown'), { name: 'UnrecognizedActionError' })
    server.actions.joinRoom.mockRejectedValueOnce(unknown)
    server.actions.leaveRoom.mockRejectedValueOnce(unknown)
    const { result } = await enterLive()
    expect(server.calls.slice(0, 2)).toEqual(['join tab', 'poll null'])
    expect(ids()).toEqual(['me'])
    await act(() => result.current.leave())
    expect(server.calls.at(-1)).toBe('leave everywhere')
  })

  it('says that nothing answers, and tries again, less and less often', async () => {
    server.error = 'unavailable'
    const { result } = enter()
    await after(0)
    expect(result.current).toMatchObject({ connectionMode: 'disconnected', unreachable: { since: expect.any(Number) } })
    expect(server.calls).toEqual(['join'])
    await after(10_000 + 20_000 + 30_000)
    expect(server.calls).toHaveLength(4)
    server.error = null
    await after(30_000)
    expect(result.current).toMatchObject({ connectionMode: 'polling', unreachable: null })
    expect(ids()).toEqual(['me'])
    expect(pusher.calls[0]).toBe(`subscribe ${ROOM}`)
  })

  it('counts a call that throws, or never returns, as unavailable', async () => {
    server.actions.joinRoom.mockRejectedValueOnce(new TypeError('fetch failed'))
    server.routes.joinTab.mockReturnValueOnce(new Promise(() => undefined))
    enter()
    await after(10_000 + 10_000 + 20_000)
    expect(server.calls).toEqual(['join tab', 'touch', 'poll null'])
    expect(ids()).toEqual(['me'])
  })
})

describe('real time', () => {
  it('shows who comes, changes and goes, and tells the log', async () => {
    await enterLive()
    act(() => channel().add({ id: 'ben', info: { name: 'Ben', avatarUrl: 'https://example.com/b.png' } }))
    expect(store().members.get('ben')).toMatchObject({
      name: 'Ben',
      avatarUrl: 'https://example.com/b.png',
      joinedAt: Date.now()
    })
    act(() => channel().add({ id: 'ben', info: { name: 'Benjamin' } }))
    expect(store().members.get('ben')?.name).toBe('Benjamin')
    act(() => channel().remove('ben'))
    expect(ids()).toEqual(['me'])
    expect(events.map(({ type }) => type)).toEqual(['mode', 'joined', 'updated', 'left'])
  })

  it('knows the author who comes later', async () => {
    server.authorId = 'mara'
    await enterLive()
    act(() => channel().add({ id: 'mara', info: { name: 'Mara' } }))
    expect(store().members.get('mara')?.isAuthor).toBe(true)
  })

  it('takes any user_info', async () => {
    await enterLive()
    for (const [index, info] of [undefined, null, 'x', { name: 7 }, { name: '' }].entries()) {
      act(() => channel().add({ id: `odd${index}`, info }))
      expect(store().members.get(`odd${index}`)).toMatchObject({ name: 'A reader', avatarUrl: null })
    }
  })

  it("corrects this computer's clock", async () => {
    server.clock = () => Date.now() + 3_600_000
    await enterLive()
    act(() => channel().add({ id: 'ben', info: {} }))
    expect(store().members.get('ben')?.joinedAt).toBe(Date.now() + 3_600_000)
  })

  it('draws nothing again when a member comes: only who shows members', async () => {
    let draws = 0
    renderHook(() => {
      draws++
      return usePresenceChannel('emma')
    })
    await after(0)
    succeed()
    const before = draws
    act(() => channel().add({ id: 'ben', info: {} }))
    expect(draws).toBe(before)
  })
})

describe('falling back', () => {
  it('polls every 30 seconds after a lost socket, with the lease for it, until it is back', async () => {
    const { result } = await enterLive()
    server.calls = []
    act(() => pusher.become('connecting'))
    expect(result.current).toMatchObject({ connectionMode: 'polling', isConnected: false })
    await after(500)
    expect(server.calls).toEqual(['join tab', 'touch'])
    server.members.push(member('ben', 5))
    server.version++
    await after(10_000)
    expect(ids()).toEqual(['me', 'ben'])
    await after(60_000)
    expect(server.calls).toEqual(['join tab', 'touch', 'poll v1', 'poll v2', 'poll v2'])

    act(() => pusher.become('connected'))
    expect(result.current.connectionMode).toBe('polling')
    succeed('cleo')
    await after(0)
    expect(result.current.connectionMode).toBe('realtime')
    expect(ids()).toEqual(['me', 'cleo'])
    expect(server.calls.at(-1)).toBe('leave tab')
    const asked = server.calls.length
    await after(5 * 60_000)
    expect(server.calls).toHaveLength(asked)
  })

  it('logs who came and went, while it polls and when it is back', async () => {
    await enterPolling('ann')
    events = []
    server.members = [member('me', 0), member('ben', 5, { name: 'Ben' })]
    server.version++
    await after(30_000)
    act(() => pusher.become('connected'))
    succeed('ben', 'cleo')
    expect(told().map((event) => 'member' in event && [event.type, event.member.name])).toEqual([
      ['left', 'ann'],
      ['joined', 'Ben'],
      ['joined', 'cleo']
    ])
  })

  it('never polls more often than every 10 seconds, whatever happens', async () => {
    await enterPolling()
    const times: number[] = []
    server.routes.pollTab.mockImplementation(async () => {
      times.push(Date.now())
      return { success: false, error: 'unavailable' }
    })
    server.routes.joinTab.mockImplementation(async () => {
      times.push(Date.now())
      return { success: false, error: 'unavailable' }
    })
    for (let step = 0; step < 600; step++) {
      const what = step % 6
      if (what === 0) act(() => void window.dispatchEvent(new Event('online')))
      if (what === 1) act(() => void document.dispatchEvent(new Event('visibilitychange')))
      if (what === 2) act(() => pusher.become('connected'))
      if (what === 3) succeed()
      if (what === 4) act(() => channel().emit('presence:degraded'))
      if (what === 5) act(() => pusher.become('unavailable'))
      await after(300)
    }
    expect(times.length).toBeGreaterThan(5)
    for (const [index, time] of times.slice(1).entries()) expect(time - times[index]!).toBeGreaterThanOrEqual(10_000)
  })

  it.each([
    [1, 500],
    [1_000, 1_000],
    [100_000, 7_500] // and 15 seconds at most: a gateway's leases last 25
  ])('spreads over time in a room of %i: half of them within %i ms', async (size, half) => {
    await enterLive()
    act(() => store().setMembers(Array.from({ length: size }, (_, index) => member(`m${index}`, index))))
    server.calls = []
    act(() => pusher.become('connecting'))
    await after(half - 1)
    expect(server.calls).toEqual([])
    await after(1)
    expect(server.calls).toEqual(['join tab', 'touch'])
  })

  it('waits longer when the gateway has lost its database, and asks nothing if it is back', async () => {
    const { result } = await enterLive()
    server.calls = []
    act(() => channel().emit('presence:degraded'))
    expect(result.current.connectionMode).toBe('polling')
    await after(3_000)
    expect(server.calls).toEqual([])
    act(() => channel().emit('presence:restored'))
    await after(60_000)
    expect(result.current.connectionMode).toBe('realtime')
    expect(server.calls).toEqual(['leave tab'])
    act(() => channel().emit('presence:degraded'))
    await after(3_500)
    expect(server.calls.at(-1)).toBe('touch')
    act(() => channel().emit('presence:restored'))
    act(() => channel().emit('presence:restored'))
    await after(0)
    expect(server.calls.at(-1)).toBe('leave tab')
    expect(events.filter(({ type }) => type === 'mode')).toHaveLength(5)
  })

  it('joins anew each time, since it gave its connection up', async () => {
    await enterLive()
    for (let time = 0; time < 2; time++) {
      server.calls = []
      act(() => pusher.become('connecting'))
      await after(500)
      expect(server.calls).toEqual(['join tab', 'touch'])
      act(() => pusher.become('connected'))
      succeed()
      await after(0)
      expect(server.calls).toEqual(['join tab', 'touch', 'leave tab'])
      await after(60_000)
    }
  })

  it('has the socket tried again with each poll, and writes nothing into pusher-js', async () => {
    await enterPolling()
    pusher.calls = []
    await after(60_000)
    expect(pusher.calls).toEqual(['disconnect', 'connect', 'disconnect', 'connect'])
    act(() => pusher.become('connected'))
    act(() => channel().refuse())
    const pending = channel().subscriptionPending
    pusher.calls = []
    await after(30_000)
    expect(pending).toBe(true) // as pusher-js leaves it: only a new socket asks again
    expect(pusher.calls).toEqual(['disconnect', 'connect'])
    act(() => pusher.become('connected'))
    channel().subscriptionPending = false // as pusher-js does when the authorization failed
    pusher.calls = []
    await after(30_000)
    expect(pusher.calls).toEqual([`subscribe ${ROOM}`])
  })

  it('says once that it polls', async () => {
    await enterLive()
    act(() => pusher.become('connecting'))
    await after(500)
    act(() => pusher.become('unavailable'))
    await after(500)
    expect(events.map((event) => event.type === 'mode' && event.mode)).toEqual(['realtime', 'polling'])
    expect(server.calls.filter((call) => call === 'join tab')).toHaveLength(1)
  })

  it('shows the list again when the others have had time to join', async () => {
    await enterLive('ann', 'ben')
    act(() => pusher.become('connecting'))
    server.members = [member('me', 0)]
    await after(500)
    expect(server.calls.at(-1)).toBe('touch')
    expect(ids()).toEqual(['me', 'ann', 'ben'])
    server.members = [member('me', 0), member('ann', 9)]
    server.version++
    await after(10_000)
    expect(ids()).toEqual(['me', 'ann'])
  })

  it('asks the server nothing if the socket is back at once', async () => {
    await enterLive()
    act(() => pusher.become('connecting'))
    act(() => pusher.become('connected'))
    server.calls = []
    succeed()
    await after(60_000)
    expect(server.calls.filter((call) => call !== 'leave tab')).toEqual([])
  })

  it('polls if the subscription is refused', async () => {
    const { result } = enter()
    await after(0)
    act(() => channel().refuse())
    expect(result.current.connectionMode).toBe('polling')
    await after(500)
    expect(pusher.bound).toBe(BOUND)
    succeed()
    expect(result.current.connectionMode).toBe('realtime')
  })

  it('polls if nobody answers', async () => {
    const { result } = enter()
    await after(7_999)
    expect(result.current.connectionMode).toBe('disconnected')
    await after(1)
    expect(result.current.connectionMode).toBe('polling')
  })

  it('joins again when a poll finds the lease gone', async () => {
    await enterPolling()
    server.joined = false
    await after(30_000)
    expect(server.calls).toEqual(['poll v1', 'join tab', 'touch'])
  })

  it('asks for the lease at once, in one go with the join: a hidden tab has no timer in time', async () => {
    await enterLive()
    server.calls = []
    const open = hold()
    act(() => pusher.become('connecting'))
    await after(500)
    act(() => pusher.become('connected'))
    succeed() // wants to release what the join made
    expect(server.calls).toEqual(['join tab'])
    await act(async () => open())
    await after(0)
    expect(server.calls).toEqual(['join tab', 'touch', 'leave tab'])
    const [[joined], [touched]] = [server.routes.joinTab.mock.lastCall!, server.routes.touchTab.mock.lastCall!]
    expect(touched).toEqual(joined)
  })

  it('joins again if the lease was not renewed', async () => {
    await enterLive()
    server.calls = []
    server.routes.touchTab.mockResolvedValueOnce({ success: false, error: 'unavailable' })
    act(() => pusher.become('connecting'))
    await after(500)
    expect(server.calls).toEqual(['join tab'])
    await after(10_000)
    expect(server.calls).toEqual(['join tab', 'join tab', 'touch'])
  })

  it.each([
    ['and not if the user has left meanwhile', true, ['leave tab']],
    ['if the connection was gone for another reason', false, ['join tab', 'touch']]
  ])('joins again, %s', async (_, left, then) => {
    await enterLive()
    server.calls = []
    server.left = left
    server.routes.touchTab.mockImplementationOnce(async () => {
      server.joined = false
      return { success: true, data: { joined: false } }
    })
    act(() => pusher.become('connecting'))
    await after(500)
    await after(10_000)
    expect(server.calls).toEqual(['join tab', 'poll v1', ...then])
    expect(store().currentChannel).toBe(left ? null : ROOM)
  })

  it('marks the list as old when nothing answers, until something does', async () => {
    const { result } = await enterPolling('ann')
    const since = Date.now()
    server.error = 'unavailable'
    await after(30_000)
    expect(result.current).toMatchObject({ connectionMode: 'disconnected', unreachable: { since } })
    expect(ids()).toEqual(['me', 'ann'])
    server.error = null
    await after(10_000)
    expect(result.current).toMatchObject({ connectionMode: 'polling', unreachable: null })
  })

  it('stops when the session ends', async () => {
    const { result } = await enterPolling()
    server.error = 'unauthorized'
    await after(30_000)
    expect(result.current).toMatchObject({ error: 'unauthorized', connectionMode: 'disconnected' })
    expect(ids()).toEqual([])
    expect(pusher.open.size).toBe(0)
  })

  it('keeps who polls in the list of a Pusher channel that he is not in', async () => {
    holds = false
    server.members = [member('ann', 1), member('me', 2)]
    enter()
    await after(0)
    succeed()
    expect(ids()).toEqual(['ann', 'me'])
    server.members = [member('me', 2)]
    server.version++
    await after(40_000)
    expect(ids()).toEqual(['me'])
  })

  it('believes the gateway, not a list that is older than its subscription', async () => {
    await enterPolling()
    const open = hold()
    server.version++
    server.members = [member('me', 7), member('ghost', 8)]
    await after(30_000)
    expect(server.calls.at(-1)).toBe('poll v1')
    act(() => pusher.become('connected'))
    succeed('ben')
    await act(async () => open())
    await after(0)
    expect(ids()).toEqual(['me', 'ben'])
    expect(store().members.get('me')?.joinedAt).toBe(7)
  })

  it('does not bring back who left while a list was on its way', async () => {
    holds = false
    await enterLive('ann')
    await after(10_000)
    const open = hold()
    server.version++
    await after(30_000)
    act(() => channel().remove('ann'))
    act(() => channel().add({ id: 'ben', info: {} }))
    await act(async () => open())
    await after(0)
    expect(ids()).toEqual(['me', 'ben'])
  })

  it('does not give its presence up if the socket is lost before its turn', async () => {
    enter()
    await after(0)
    const open = hold()
    act(() => pusher.become('connecting'))
    await after(500)
    act(() => pusher.become('connected'))
    succeed()
    act(() => pusher.become('connecting'))
    await act(async () => open())
    await after(10_000)
    expect(server.calls).not.toContain('leave tab')
  })
})

describe('waking', () => {
  const restore = () => act(() => void window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true })))

  it('asks at once, and has a new socket, instead of trusting the one it has', async () => {
    const { result } = await enterLive('ann')
    await after(60_000)
    server.calls = []
    pusher.calls = []
    server.members = [member('me', 0), member('ben', 5)]
    server.version++
    restore()
    await after(0)
    expect(result.current.connectionMode).toBe('polling')
    expect(pusher.calls).toEqual(['disconnect', 'connect'])
    expect(server.calls).toEqual(['join tab', 'touch', 'poll v1'])
    expect(ids()).toEqual(['me', 'ben'])
  })

  it('joins again when the page comes back from the cache: its beacon ended the connection', async () => {
    holds = false
    await enterLive()
    await after(60_000)
    hide()
    expect(server.beacons).toHaveLength(1)
    server.joined = false
    server.left = true
    server.calls = []
    restore()
    await after(0)
    expect(server.calls).toEqual(['join tab', 'touch', 'poll v1'])
    // By another name, which a beacon that is late does not end.
    const [tab] = server.routes.joinTab.mock.lastCall!
    expect(tab.connectionId).not.toBe(server.beacons[0]!.connectionId)
    expect(server.routes.touchTab.mock.lastCall).toEqual([tab])
    expect(server.routes.pollTab.mock.lastCall![0]).toEqual(tab)
  })

  it('takes no answer about the connection that its beacon ended for one about the stay', async () => {
    await enterPolling()
    const open = hold()
    server.joined = false
    server.left = true
    await after(30_000)
    expect(server.calls).toEqual(['poll v1'])
    hide()
    restore()
    await act(async () => open())
    await after(30_000)
    expect(server.calls.slice(0, 3)).toEqual(['poll v1', 'join tab', 'touch'])
    expect(store().currentChannel).toBe(ROOM)
  })

  it('renews nothing that its beacon may have overtaken', async () => {
    await enterLive()
    const open = hold()
    server.calls = []
    act(() => pusher.become('connecting'))
    await after(500)
    hide()
    await act(async () => open())
    await after(9_000)
    expect(server.calls).toEqual(['join tab'])
    await after(1_000)
    expect(server.calls.slice(0, 3)).toEqual(['join tab', 'join tab', 'touch'])
    const [before, now] = server.routes.joinTab.mock.calls.map(([{ connectionId }]) => connectionId)
    expect(now).not.toBe(before)
  })

  it('joins by the new name, too, if its beacon was sent while it asked for the lease', async () => {
    await enterLive()
    const answersJoin = hold()
    server.calls = []
    act(() => pusher.become('connecting'))
    await after(500)
    const answersTouch = hold()
    await act(async () => answersJoin())
    await after(0)
    expect(server.calls).toEqual(['join tab', 'touch'])
    hide()
    await act(async () => answersTouch())
    await after(10_000)
    expect(server.calls.slice(2, 4)).toEqual(['join tab', 'touch'])
  })

  it('joins again if it goes on after its beacon as if nothing had been', async () => {
    await enterPolling()
    hide()
    server.joined = false
    server.left = true
    await after(30_000)
    expect(server.calls.slice(0, 2)).toEqual(['join tab', 'touch'])
    expect(store().currentChannel).toBe(ROOM)
  })

  it('shows from when the list is, if nothing answers then', async () => {
    const { result } = await enterLive('ann')
    await after(5_000)
    const asleep = Date.now()
    vi.setSystemTime(asleep + 3_600_000)
    server.error = 'unavailable'
    restore()
    await after(0)
    expect(result.current.unreachable!.since).toBeLessThanOrEqual(asleep)
    expect(result.current.connectionMode).toBe('disconnected')
  })

  it.each([
    ['a page that polls is seen again', () => document.dispatchEvent(new Event('visibilitychange'))],
    ['the network is back', () => window.dispatchEvent(new Event('online'))]
  ])('looks at once when %s', async (_, happens) => {
    await enterPolling()
    await after(12_000)
    expect(server.calls).toEqual([])
    act(() => void happens())
    act(() => void happens())
    await after(0)
    expect(server.calls).toEqual(['poll v1'])
    await after(29_000)
    expect(server.calls).toHaveLength(1)
  })

  it('asks nothing while the page is hidden', async () => {
    await enterPolling()
    await after(12_000)
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden')
    act(() => void document.dispatchEvent(new Event('visibilitychange')))
    await after(0)
    expect(server.calls).toEqual([])
  })
})

describe('leaving', () => {
  it("is the user's, of all of his tabs", async () => {
    const { result, unmount } = await enterLive()
    server.calls = []
    await act(() => result.current.leave())
    expect(server.calls).toEqual(['leave room'])
    expect(result.current.currentChannel).toBeNull()
    expect(pusher.open.size).toBe(0)
    unmount()
    await after(60_000)
    expect(server.calls).toEqual(['leave room'])
  })

  it('in another tab ends this one, which calls nothing and says so', async () => {
    const { result } = await enterLive()
    server.calls = []
    await tellAll({ type: 'room-left', bookId: 'moby-dick', at: Date.now() })
    expect(result.current.connectionMode).toBe('realtime')
    await tellAll({ type: 'room-left', bookId: 'emma', at: Date.now() })
    expect(result.current.currentChannel).toBeNull()
    expect(events.at(-1)).toEqual({ type: 'left-elsewhere' })
    expect(pusher.open.size).toBe(0)
    await after(60_000)
    expect(server.calls).toEqual([])
  })

  it('in another tab, while this one joins, is not undone by that join', async () => {
    await enterLive()
    const open = hold()
    server.calls = []
    act(() => pusher.become('connecting'))
    await after(500)
    await tellAll({ type: 'room-left', bookId: 'emma', at: Date.now() })
    expect(server.calls).toEqual(['join tab'])
    await act(async () => open())
    await after(60_000)
    expect(server.calls).toEqual(['join tab', 'leave tab'])
    expect(server.routes.leaveTab.mock.lastCall).toEqual(server.routes.joinTab.mock.lastCall)
  })

  it('that is older than this stay ended another one', async () => {
    const { result } = await enterLive()
    await tellAll({ type: 'room-left', bookId: 'emma', at: Date.now() - 5_000 })
    expect(result.current.connectionMode).toBe('realtime')
  })

  it('in another tab is found by a poll, when no channel told', async () => {
    const { result } = await enterPolling()
    server.joined = false
    server.left = true
    await after(30_000)
    expect(server.calls).toEqual(['poll v1', 'leave tab'])
    expect(result.current.currentChannel).toBeNull()
    expect(events.at(-1)).toEqual({ type: 'left-elsewhere' })
  })

  it('by a component that goes is that tab’s, and leaves nothing behind', async () => {
    const { unmount } = await enterPolling()
    unmount()
    await after(0)
    expect(server.calls.at(-1)).toBe('leave tab')
    expect(pusher.calls.at(-1)).toBe(`unsubscribe ${ROOM}`)
    expect(pusher.bound).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
    expect(store()).toMatchObject({ currentChannel: null, connectionMode: 'disconnected' })
    const asked = server.calls.length
    document.dispatchEvent(new Event('visibilitychange'))
    await after(60_000)
    expect(server.calls).toHaveLength(asked)
  })

  it("leaves with the gateway's socket, and needs no call for it", async () => {
    const { unmount } = await enterLive()
    server.calls = []
    unmount()
    await after(0)
    expect(pusher.calls.at(-1)).toBe(`unsubscribe ${ROOM}`)
    expect(server.calls).toEqual([])
  })

  it('joins and leaves in order, however fast, and subscribes to nothing', async () => {
    const open = hold()
    const { unmount } = enter()
    unmount()
    await act(async () => open())
    await after(0)
    expect(server.calls).toEqual(['join', 'leave tab'])
    const [[, joined], [left]] = [server.actions.joinRoom.mock.calls[0]!, server.routes.leaveTab.mock.calls[0]!]
    expect(left.connectionId).toBe(joined?.connectionId)
    expect(pusher.calls).toEqual([])
    expect(ids()).toEqual([])
  })

  it('while it joins to poll asks for no lease any more', async () => {
    const { unmount } = await enterLive()
    const open = hold()
    server.calls = []
    act(() => pusher.become('connecting'))
    await after(500)
    unmount()
    await act(async () => open())
    await after(60_000)
    expect(server.calls).toEqual(['join tab', 'leave tab'])
  })

  it("survives StrictMode's second effect: one room, one binding each", async () => {
    enter('emma', true)
    await after(0)
    expect(server.calls.sort()).toEqual(['join', 'join', 'leave tab', 'poll null'])
    const tabs = server.actions.joinRoom.mock.calls.map(([, tab]) => tab?.connectionId)
    expect(server.routes.leaveTab.mock.calls.map(([{ connectionId }]) => connectionId)).toEqual([tabs[0]])
    expect(tabs[1]).not.toBe(tabs[0])
    expect(pusher.calls).toEqual([`subscribe ${ROOM}`])
    expect(pusher.bound).toBe(BOUND)
    succeed()
    act(() => channel().add({ id: 'ben', info: { name: 'ben' } }))
    expect(events.map(({ type }) => type)).toEqual(['mode', 'joined'])
  })

  it('close() says when the server knows that the tab left', async () => {
    const { result, unmount } = await enterPolling()
    const open = hold()
    const left = vi.fn()
    act(() => void result.current.close().then(left))
    expect(result.current.currentChannel).toBeNull()
    await after(0)
    expect(server.calls.at(-1)).toBe('leave tab')
    expect(left).not.toHaveBeenCalled()
    await act(async () => open())
    expect(left).toHaveBeenCalled()
    const asked = server.calls.length
    unmount()
    await after(60_000)
    expect(server.calls).toHaveLength(asked)
  })

  it('forgets a refusal', async () => {
    server.error = 'not-found'
    const { result, rerender } = enter()
    await after(0)
    expect(result.current.error).toBe('not-found')
    rerender({ bookId: null })
    expect(result.current).toMatchObject({ error: null, currentChannel: null })
  })

  it('changes rooms', async () => {
    const { rerender } = await enterLive()
    rerender({ bookId: 'moby-dick' })
    await after(0)
    expect([...pusher.open.keys()]).toEqual(['presence-room-moby-dick'])
    expect(store().currentChannel).toBe('presence-room-moby-dick')
    rerender({ bookId: null })
    expect(pusher.open.size).toBe(0)
    expect(pusher.bound).toBe(0)
    expect(store().currentChannel).toBeNull()
  })

  it('says goodbye by a beacon when the page goes, while the tab holds the presence', async () => {
    enter()
    await after(0)
    const [, tab] = server.actions.joinRoom.mock.calls[0]!
    hide()
    expect(server.beacons).toEqual([{ bookId: 'emma', connectionId: tab?.connectionId }])
  })

  it("needs no beacon while the gateway's socket does", async () => {
    await enterLive()
    hide()
    expect(server.beacons).toEqual([])
  })
})

describe('signing out', () => {
  it('in another tab of the browser ends this one, while there is a session to leave with', async () => {
    const { result } = await enterPolling()
    await tellAll({ type: 'signing-out' })
    await after(0)
    expect(server.calls).toEqual(['leave tab'])
    expect(result.current.error).toBe('unauthorized')
    expect(pusher.open.size).toBe(0)
  })

  it('anywhere has this tab ask whether it was its session', async () => {
    const { result } = await enterLive()
    await tellAll({ type: 'session-ended' })
    await after(0)
    expect(result.current).toMatchObject({ error: null, connectionMode: 'realtime' })
    server.error = 'unauthorized'
    await tellAll({ type: 'session-ended' })
    await after(0)
    expect(result.current.error).toBe('unauthorized')
  })
})
