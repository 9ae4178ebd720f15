// The list that polls make is the one that the server has, whatever was told on the way.

import { afterEach, expect, it } from 'vitest'
import { FakeServer, member } from '../../test/client/fake-server'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { RoomList, type MemberEvent } from './room-list'

const tab = { bookId: 'emma', connectionId: 'tab' }
const shown = () => [...usePresenceStore.getState().members.values()]

afterEach(() => usePresenceStore.getState().leaveChannel())

// The same numbers for the same seed.
function randomOf(seed: number) {
  return (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
    return Math.floor((seed / 0x80000000) * below)
  }
}

// Somebody comes, goes, or is otherwise than before.
function change(server: FakeServer, random: (below: number) => number) {
  const id = `u${random(12)}`
  const at = server.members.findIndex(({ userId }) => userId === id)
  if (at < 0) server.members.push(member(id, random(1_000)))
  else if (random(2)) server.members.splice(at, 1)
  else server.members[at] = { ...server.members[at]!, name: `name ${random(5)}` }
  server.version++
}

it.each([1, 2, 3, 4, 5])('is the whole list after any changes, known or forgotten (seed %i)', async (seed) => {
  const random = randomOf(seed)
  const server = new FakeServer()
  const events: MemberEvent[] = []
  const list = new RoomList(true, (event) => events.push(event))
  let wholes = 0
  for (let step = 0; step < 400; step++) {
    for (let changes = random(4); changes > 0; changes--) change(server, random)
    if (random(10) === 0) server.lists.clear() // a gap: it remembers none of the versions
    if (random(10) === 0) {
      // The channel was right for a while, and is not any more.
      list.subscribed([{ id: 'u1', info: {} }])
      list.added({ id: 'somebody', info: {} })
      list.outdated()
    }
    list.asks()
    const answer = await server.routes.pollTab(tab, list.known, null)
    if (!answer.success) throw new Error(answer.error)
    if (answer.data.members) wholes++
    list.answered(answer.data, null)
    const byAge = [...server.members].sort((a, b) => a.joinedAt - b.joinedAt || (a.userId < b.userId ? -1 : 1))
    expect(shown()).toEqual(byAge)
  }
  expect(wholes).toBeGreaterThan(1)
  expect(wholes).toBeLessThan(100)
  expect(events.length).toBeGreaterThan(0)
})

it('takes whole lists of a server that knows no changes', async () => {
  const list = new RoomList(true, () => {})
  const answer = { joined: true, left: false, authorId: null, added: null, removed: null }
  list.answered({ ...answer, version: '1', members: [member('ann'), member('ben')] }, null)
  list.answered({ ...answer, version: '2', members: [member('ben')] }, null)
  list.answered({ ...answer, version: '2', members: null }, null)
  expect(shown().map(({ userId }) => userId)).toEqual(['ben'])
})
