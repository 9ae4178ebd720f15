// The server of one room in memory, for tests of the hook: what it was asked by
// actions and routes, and who is there.

import { vi } from 'vitest'
import { failure, type ActionError, type Member, type RoomPresence } from '@/lib/members'

export const member = (userId: string, joinedAt = 1_000, more: Partial<Member> = {}): Member => ({
  userId,
  name: userId,
  avatarUrl: null,
  isAuthor: false,
  joinedAt,
  ...more
})

type Tab = { bookId: string; connectionId: string }

// What presence.poll_room_changes makes of two lists.
function changesOf(before: Member[], after: Member[]) {
  const known = new Map(before.map((member) => [member.userId, member]))
  const there = new Set(after.map(({ userId }) => userId))
  return {
    members: null,
    added: after.filter((member) => known.get(member.userId) !== member),
    removed: before.map(({ userId }) => userId).filter((userId) => !there.has(userId))
  }
}

export class FakeServer {
  calls: string[] = []
  members: Member[] = []
  version = 1
  joined = true // whether polls find the tab's connection
  left = false // or that the user has left
  error: ActionError | null = null
  authorId: string | null = null
  clock = () => Date.now()
  gate: Promise<void> = Promise.resolve() // answers wait for it
  beacons: Tab[] = []
  lists = new Map<string, Member[]>() // by version, as far as it remembers

  private answer<T>(call: string, data: () => T) {
    this.calls.push(call)
    // As of the call, however late the answer comes.
    const result = this.error ? failure(this.error) : { success: true as const, data: data() }
    return this.gate.then(() => result)
  }

  private join = (): RoomPresence => {
    this.joined = true
    const now = new Date(this.clock())
    return { id: '7', userId: 'me', bookId: 'emma', joinedAt: now, lastActiveAt: now, leftAt: null, isAuthor: false }
  }

  private list(known: string | null) {
    const version = `v${this.version}`
    const before = known === null ? undefined : this.lists.get(known)
    this.lists.set(version, [...this.members])
    const same = { members: null, added: null, removed: null }
    const whole = { members: [...this.members], added: null, removed: null }
    return { version, ...(version === known ? same : before ? changesOf(before, this.members) : whole) }
  }

  private leave = () => ({ left: true, at: new Date(this.clock()) })

  actions = {
    joinRoom: vi.fn((_: string, __?: { connectionId?: string }) => this.answer('join', this.join)),
    leaveRoom: vi.fn((_: string) => this.answer('leave room', this.leave)),
    getRoomMembers: vi.fn()
  }

  routes = {
    joinTab: vi.fn((_: Tab) => this.answer('join tab', this.join)),
    touchTab: vi.fn((_: Tab) => this.answer('touch', () => ({ joined: this.joined }))),
    pollTab: vi.fn((_: Tab, known: string | null, __: string | null) =>
      this.answer(`poll ${known}`, () => ({
        ...this.list(known),
        joined: this.joined,
        left: !this.joined && this.left,
        authorId: this.authorId
      }))
    ),
    leaveTab: vi.fn((_: Tab) => this.answer('leave tab', this.leave)),
    leaveEverywhere: vi.fn((_: string) => this.answer('leave everywhere', this.leave)),
    closeTab: vi.fn((tab: Tab) => this.beacons.push(tab) > 0)
  }
}
