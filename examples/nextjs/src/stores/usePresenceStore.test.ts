import { beforeEach, describe, expect, it } from 'vitest'
import { member } from '../../test/client/fake-server'
import { usePresenceStore } from './usePresenceStore'

const store = usePresenceStore.getState
const ids = () => [...store().members.keys()]

beforeEach(() => store().leaveChannel())

describe('usePresenceStore', () => {
  it('starts outside of any room', () => {
    expect(store()).toMatchObject({
      currentChannel: null,
      isConnected: false,
      connectionMode: 'disconnected',
      error: null
    })
    expect(store().members.size).toBe(0)
  })

  it('keeps members oldest first, and those of one instant in one order', () => {
    store().setMembers([member('c', 3), member('b', 1), member('a', 3)])
    expect(ids()).toEqual(['b', 'a', 'c'])
  })

  it('adds a member once, as the youngest, and changes him where he stands', () => {
    store().setMembers([member('a', 1), member('b', 2)])
    store().addMember(member('c', 3))
    store().addMember(member('a', 1, { name: 'Ann' }))
    expect(ids()).toEqual(['a', 'b', 'c'])
    expect(store().members.get('a')?.name).toBe('Ann')
  })

  it('puts a member whose clock is behind where he belongs', () => {
    store().setMembers([member('a', 1), member('b', 5)])
    store().addMember(member('c', 3))
    expect(ids()).toEqual(['a', 'c', 'b'])
  })

  it('says since when nothing answers', () => {
    store().setUnreachable(5)
    expect(store().unreachable).toEqual({ since: 5 })
    store().setUnreachable(null)
    expect(store().unreachable).toBeNull()
  })

  it('tells those who listen with a new map, and nobody if nothing changed', () => {
    store().setMembers([member('a')])
    const before = store().members
    store().removeMember('nobody')
    expect(store().members).toBe(before)
    store().removeMember('a')
    expect(store().members).not.toBe(before)
    expect(before.has('a')).toBe(true)
  })

  it('is connected in real time only', () => {
    store().setConnectionMode('realtime')
    expect(store().isConnected).toBe(true)
    store().setConnectionMode('polling')
    expect(store().isConnected).toBe(false)
  })

  it('shows no list of a room that refuses', () => {
    store().joinChannel('presence-room-emma')
    store().setMembers([member('a')])
    store().setConnectionMode('realtime')
    store().refuse('unauthorized')
    expect(store()).toMatchObject({
      currentChannel: 'presence-room-emma',
      connectionMode: 'disconnected',
      error: 'unauthorized'
    })
    expect(store().members.size).toBe(0)
  })

  it('forgets all of a room with the next one', () => {
    store().joinChannel('presence-room-emma')
    store().setMembers([member('a')])
    store().refuse('not-found')
    store().joinChannel('presence-room-moby-dick')
    expect(store()).toMatchObject({ currentChannel: 'presence-room-moby-dick', error: null })
    expect(store().members.size).toBe(0)
  })

  it('writes nothing to the browser', () => {
    store().joinChannel('presence-room-emma')
    store().setMembers([member('a')])
    expect(localStorage.length + sessionStorage.length).toBe(0)
  })
})
