import { act, cleanup, renderHook } from '@testing-library/react'
import { StrictMode } from 'react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { PusherConfig } from '@/lib/pusher-client'
import type { RoomEvent } from '@/lib/room-session'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { FakePusher, type FakeChannel } from '../../test/client/fake-pusher'
import { FakeServer, member } from '../../test/client/fake-server'
import { usePresenceChannel } from './usePresenceChannel'

const GATEWAY: PusherConfig = { kind: 'gateway', key: 'k', host: 'h', port: 1, tls: false }
const HOSTED: PusherConfig = { kind: 'pusher', key: 'k', cluster: 'eu' }
const ROOM = 'presence-room-emma'

let pusher: FakePusher
let server: FakeServer
let beacons: unknown[]
let events: RoomEvent[]

vi.mock('@/lib/pusher-client', () => ({ pusherClient: () => pusher }))
vi.mock('@/actions/presence', () => ({
  joinRoom: (input: never) => server.actions.joinRoom(input),
  leaveRoom: (input: never) => server.actions.leaveRoom(input),
  getRoomMembers: (input: never) => server.actions.getRoomMembers(input)
}))

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  pusher = new FakePusher()
  server = new FakeServer()
  server.members = [member('me')]
  beacons = []
  events = []
  navigator.sendBeacon = (url, body) => beacons.push([url, JSON.parse(String(body))]) > 0
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
const onEvent = (event: RoomEvent) => void events.push(event)

function enter(config = GATEWAY, book: string | null = 'emma', strict = false) {
  return renderHook(({ bookId }) => usePresenceChannel(bookId, { pusher: config, onEvent }), {
    initialProps: { bookId: book },
    ...(strict && { wrapper: StrictMode })
  })
}

// In the room, in real time, with these members.
async function enterLive(config = GATEWAY, others: string[] = []) {
  server.members = ['me', ...others].map((id, index) => member(id, index))
  const hook = enter(config)
  await after(0)
  act(() => channel().succeed(['me', ...others].map((id) => ({ id, info: { name: id } }))))
  await after(0)
  return hook
}

describe('joining', () => {
  it('joins, then subscribes, and is in real time when that has succeeded, not before', async () => {
    const { result } = enter()
    expect(result.current).toMatchObject({ currentChannel: ROOM, connectionMode: 'disconnected', isConnected: false })
    expect(pusher.calls).toEqual([])
    await after(0)
    expect(server.calls).toEqual(['join connecting'])
    expect(pusher.calls).toEqual([`subscribe ${ROOM}`])
    expect(result.current.connectionMode).toBe('disconnected')
    expect(ids()).toEqual(['me'])
    act(() => channel().succeed([{ id: 'me', info: { name: 'Me' } }]))
    expect(result.current).toMatchObject({ connectionMode: 'realtime', isConnected: true })
  })

  it("hands its presence over to the gateway's socket, and asks nothing more", async () => {
    await enterLive()
    expect(server.calls).toEqual(['join connecting', 'leave'])
    await after(10 * 60_000)
    expect(server.calls).toHaveLength(2)
  })

  it('holds its presence itself with a Pusher account', async () => {
    await enterLive(HOSTED)
    expect(server.calls).toEqual(['join connecting', 'join polling'])
    await after(60_000)
    expect(server.calls.slice(2)).toEqual(['poll null', 'poll v1'])
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
    expect(server.calls).toEqual(['join connecting'])
    expect(pusher.bound).toBe(0)
    expect(events).toEqual([{ type: 'refused', error }])
  })

  it('tries again while the server does not answer, less and less often', async () => {
    server.error = 'unavailable'
    const { result } = enter()
    await after(500)
    expect(result.current.connectionMode).toBe('polling')
    expect(server.calls).toHaveLength(2)
    await after(5_000 + 10_000 + 20_000 + 30_000)
    expect(server.calls).toHaveLength(6)
    server.error = null
    await after(30_000)
    expect(ids()).toEqual(['me'])
    expect(pusher.calls).toEqual([`subscribe ${ROOM}`])
  })

  it('counts a call that throws, or never returns, as unavailable', async () => {
    server.actions.joinRoom.mockRejectedValueOnce(new TypeError('fetch failed'))
    server.actions.joinRoom.mockReturnValueOnce(new Promise(() => undefined))
    enter()
    await after(500 + 15_000 + 5_000)
    expect(server.calls).toEqual(['join polling'])
    expect(ids()).toEqual(['me'])
  })
})

describe('real time', () => {
  it('shows who comes, changes and goes, and tells the log', async () => {
    await enterLive()
    server.authorId = null
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
    server.actions.joinRoom.mockImplementation(async () => ({
      success: true,
      data: { userId: 'me', authorId: null, now: Date.now() + 3_600_000, list: { version: 'v', members: [] } }
    }))
    enter()
    await after(0)
    act(() => channel().succeed([]))
    act(() => channel().add({ id: 'ben', info: {} }))
    expect(store().members.get('ben')?.joinedAt).toBe(Date.now() + 3_600_000)
  })
})

describe('falling back', () => {
  it('polls every 30 seconds after a lost socket, with the lease for it, until it is back', async () => {
    const { result } = await enterLive()
    server.calls = []
    act(() => pusher.become('connecting'))
    expect(result.current).toMatchObject({ connectionMode: 'polling', isConnected: false })
    await after(500)
    expect(server.calls).toEqual(['join polling'])
    await after(3_000)
    server.members.push(member('ben', 5))
    server.version++
    await after(30_000)
    expect(ids()).toEqual(['me', 'ben'])
    await after(30_000)
    expect(server.calls).toEqual(['join polling', 'poll null', 'poll v1', 'poll v2'])

    act(() => pusher.become('connected'))
    expect(result.current.connectionMode).toBe('polling')
    act(() =>
      channel().succeed([
        { id: 'me', info: {} },
        { id: 'cleo', info: {} }
      ])
    )
    await after(0)
    expect(result.current.connectionMode).toBe('realtime')
    expect(ids()).toEqual(['me', 'cleo'])
    expect(server.calls.at(-1)).toBe('leave')
    const asked = server.calls.length
    await after(5 * 60_000)
    expect(server.calls).toHaveLength(asked)
  })

  it('joins anew each time, since it gave its connection up', async () => {
    await enterLive()
    for (let time = 0; time < 2; time++) {
      server.calls = []
      act(() => pusher.become('connecting'))
      await after(500)
      expect(server.calls).toEqual(['join polling'])
      act(() => pusher.become('connected'))
      act(() => channel().succeed([{ id: 'me', info: {} }]))
      await after(0)
      expect(server.calls).toEqual(['join polling', 'leave'])
    }
  })

  it('has the socket tried again with each poll', async () => {
    await enterLive()
    pusher.calls = []
    act(() => pusher.become('connecting'))
    await after(500)
    expect(pusher.calls).toEqual([])
    await after(60_000)
    expect(pusher.calls).toEqual(['disconnect', 'connect', 'disconnect', 'connect'])
    act(() => pusher.become('connected'))
    act(() => channel().refuse())
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
    expect(server.calls.filter((call) => call === 'join polling')).toHaveLength(1)
  })

  it('asks for the whole list, since the one it shows is not the one it last asked for', async () => {
    await enterLive(HOSTED)
    act(() => channel().add({ id: 'ben', info: {} }))
    act(() => pusher.become('unavailable'))
    await after(500)
    expect(server.calls.at(-1)).toBe('poll null')
    expect(ids()).toEqual(['me'])
  })

  it('shows the list again when the others have had time to join', async () => {
    await enterLive(GATEWAY, ['ann', 'ben'])
    act(() => pusher.become('connecting'))
    server.members = [member('me', 0)]
    await after(500)
    expect(server.calls.at(-1)).toBe('join polling')
    expect(ids()).toEqual(['me', 'ann', 'ben'])
    server.members = [member('me', 0), member('ann', 9)]
    await after(3_000)
    expect(ids()).toEqual(['me', 'ann'])
  })

  it('keeps the list while it waits for the first poll', async () => {
    await enterLive(GATEWAY, ['ann'])
    act(() => pusher.become('unavailable'))
    expect(ids()).toEqual(['me', 'ann'])
  })

  it('asks the server nothing if the socket is back at once', async () => {
    await enterLive()
    act(() => pusher.become('connecting'))
    act(() => pusher.become('connected'))
    act(() => channel().succeed([{ id: 'me', info: {} }]))
    server.calls = []
    await after(60_000)
    expect(server.calls.filter((call) => call !== 'leave')).toEqual([])
  })

  it('polls while the gateway has lost its database', async () => {
    const { result } = await enterLive()
    act(() => channel().emit('presence:degraded'))
    expect(result.current.connectionMode).toBe('polling')
    await after(500)
    expect(server.calls.at(-1)).toBe('join polling')
    act(() => channel().emit('presence:restored'))
    await after(0)
    expect(result.current.connectionMode).toBe('realtime')
    expect(server.calls.at(-1)).toBe('leave')
    const asked = server.calls.length
    act(() => channel().emit('presence:restored'))
    await after(0)
    expect(server.calls).toHaveLength(asked)
    expect(events.filter(({ type }) => type === 'mode')).toHaveLength(3)
  })

  it('polls if the subscription is refused, and asks for it again with each poll', async () => {
    const { result } = enter()
    await after(0)
    act(() => channel().refuse())
    expect(result.current.connectionMode).toBe('polling')
    await after(500)
    expect(pusher.calls).toEqual([`subscribe ${ROOM}`, `subscribe ${ROOM}`])
    expect(pusher.bound).toBe(7)
    act(() => channel().succeed([{ id: 'me', info: {} }]))
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
    await enterLive()
    act(() => pusher.become('unavailable'))
    await after(3_500)
    server.joined = false
    server.calls = []
    await after(30_000)
    expect(server.calls).toEqual(['poll v1', 'join polling'])
  })

  it('stops when the session ends', async () => {
    const { result } = await enterLive()
    act(() => pusher.become('unavailable'))
    await after(500)
    server.error = 'unauthorized'
    await after(30_000)
    expect(result.current).toMatchObject({ error: 'unauthorized', connectionMode: 'disconnected' })
    expect(ids()).toEqual([])
    expect(pusher.open.size).toBe(0)
  })

  it.each([
    ['a page that polls is seen again', () => document.dispatchEvent(new Event('visibilitychange'))],
    ['the network is back', () => window.dispatchEvent(new Event('online'))]
  ])('looks at once when %s', async (_, happens) => {
    await enterLive()
    act(() => pusher.become('unavailable'))
    await after(3_500)
    server.calls = []
    act(() => void happens())
    act(() => void happens())
    await after(0)
    expect(server.calls).toEqual(['poll v1'])
    await after(29_000)
    expect(server.calls).toHaveLength(1)
  })

  it('asks nothing while the page is hidden and woken by something else', async () => {
    await enterLive()
    act(() => pusher.become('unavailable'))
    await after(500)
    server.calls = []
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden')
    act(() => void document.dispatchEvent(new Event('visibilitychange')))
    await after(0)
    expect(server.calls).toEqual([])
  })

  it('forgets earlier failures with the first success', async () => {
    await enterLive()
    server.error = 'unavailable'
    act(() => pusher.become('unavailable'))
    await after(500 + 5_000)
    server.error = null
    await after(10_000)
    server.error = 'unavailable'
    await after(3_000)
    server.calls = []
    await after(5_000)
    expect(server.calls).toHaveLength(1)
    act(() => pusher.become('connected'))
    act(() => channel().succeed([]))
    act(() => pusher.become('unavailable'))
    await after(500)
    server.calls = []
    await after(5_000)
    expect(server.calls).toHaveLength(1)
  })

  it('keeps who polls in the list of a Pusher channel that he is not in', async () => {
    server.members = [member('ann', 1), member('me', 2)]
    enter(HOSTED)
    await after(0)
    act(() => channel().succeed([{ id: 'me', info: {} }]))
    expect(ids()).toEqual(['ann', 'me'])
    server.members = [member('me', 2)]
    server.version++
    await after(30_000)
    expect(ids()).toEqual(['me'])
  })

  it('believes the gateway, not a list that is older than its subscription', async () => {
    await enterLive()
    act(() => pusher.become('unavailable'))
    await after(500)
    let open = () => {}
    server.gate = new Promise((resolve) => (open = resolve))
    server.members = [member('me', 7), member('ghost', 8)]
    await after(3_000)
    expect(server.calls.at(-1)).toBe('poll null')
    act(() => pusher.become('connected'))
    act(() =>
      channel().succeed([
        { id: 'me', info: {} },
        { id: 'ben', info: {} }
      ])
    )
    await act(async () => open())
    await after(0)
    expect(ids()).toEqual(['me', 'ben'])
    expect(store().members.get('me')?.joinedAt).toBe(7)
  })

  it('does not bring back who left while a list was on its way', async () => {
    await enterLive(HOSTED, ['ann'])
    let open = () => {}
    server.gate = new Promise((resolve) => (open = resolve))
    server.version++
    await after(30_000)
    act(() => channel().remove('ann'))
    act(() => channel().add({ id: 'ben', info: {} }))
    await act(async () => open())
    await after(0)
    expect(ids()).toEqual(['me', 'ben'])
  })

  it('shows who left the channel and now polls', async () => {
    await enterLive(HOSTED, ['ann'])
    act(() => channel().remove('ann'))
    server.version++
    await after(30_000)
    expect(ids()).toEqual(['me', 'ann'])
  })

  it('does not give its presence up if the socket is lost before its turn', async () => {
    let open = () => {}
    enter()
    await after(0)
    server.gate = new Promise((resolve) => (open = resolve))
    act(() => channel().emit('presence:degraded'))
    await after(500)
    act(() => channel().succeed([{ id: 'me', info: {} }]))
    act(() => pusher.become('connecting'))
    await act(async () => open())
    await after(500)
    expect(server.calls).not.toContain('leave')
    expect(server.calls.at(-1)).toBe('join polling')
  })
})

describe('leaving', () => {
  it('leaves nothing behind', async () => {
    const { unmount } = await enterLive()
    act(() => pusher.become('unavailable'))
    await after(500)
    unmount()
    await after(0)
    expect(server.calls.at(-1)).toBe('leave')
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
    let open = () => {}
    server.gate = new Promise((resolve) => (open = resolve))
    const { unmount } = enter()
    unmount()
    await act(async () => open())
    await after(0)
    expect(server.calls).toEqual(['join connecting', 'leave'])
    const [[joined], [left]] = [server.actions.joinRoom.mock.calls[0]!, server.actions.leaveRoom.mock.calls[0]!]
    expect(left.connectionId).toBe(joined.connectionId)
    expect(pusher.calls).toEqual([])
    expect(ids()).toEqual([])
  })

  it("survives StrictMode's second effect: one room, one binding each", async () => {
    enter(GATEWAY, 'emma', true)
    await after(0)
    expect(server.calls.sort()).toEqual(['join connecting', 'join connecting', 'leave'])
    const tabs = server.actions.joinRoom.mock.calls.map(([{ connectionId }]) => connectionId)
    expect(server.actions.leaveRoom.mock.calls.map(([{ connectionId }]) => connectionId)).toEqual([tabs[0]])
    expect(tabs[1]).not.toBe(tabs[0])
    expect(pusher.calls).toEqual([`subscribe ${ROOM}`])
    expect(pusher.bound).toBe(7)
    act(() => channel().succeed([{ id: 'me', info: {} }]))
    act(() => channel().add({ id: 'ben', info: {} }))
    expect(events.map(({ type }) => type)).toEqual(['mode', 'joined'])
  })

  it('says when the server knows that it left', async () => {
    const { result, unmount } = await enterLive()
    act(() => pusher.become('unavailable'))
    await after(500)
    let open = () => {}
    server.gate = new Promise((resolve) => (open = resolve))
    const left = vi.fn()
    act(() => void result.current.leave().then(left))
    expect(result.current.currentChannel).toBeNull()
    await after(0)
    expect(server.calls.at(-1)).toBe('leave')
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
    const { connectionId } = server.actions.joinRoom.mock.calls[0]![0]
    act(() => void window.dispatchEvent(new Event('pagehide')))
    expect(beacons).toEqual([['/api/presence/leave', { bookId: 'emma', connectionId }]])
  })

  it("needs no beacon while the gateway's socket does", async () => {
    await enterLive()
    act(() => void window.dispatchEvent(new Event('pagehide')))
    expect(beacons).toEqual([])
  })

  it('joins again when the page comes back from the cache', async () => {
    await enterLive(HOSTED)
    act(() => void window.dispatchEvent(new Event('pagehide')))
    server.joined = false
    server.calls = []
    act(() => void window.dispatchEvent(new Event('pageshow')))
    await after(0)
    expect(server.calls).toEqual(['poll null', 'join polling'])
  })
})

it('draws nothing again when a member comes: only who shows members', async () => {
  let draws = 0
  renderHook(() => {
    draws++
    return usePresenceChannel('emma', { pusher: GATEWAY })
  })
  await after(0)
  act(() => channel().succeed([{ id: 'me', info: {} }]))
  const before = draws
  act(() => channel().add({ id: 'ben', info: {} }))
  expect(draws).toBe(before)
})
