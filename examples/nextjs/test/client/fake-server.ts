// The three actions on one room in memory, for tests of the hook: what they were
// called with, and who is there.

import { vi } from 'vitest'
import type { ActionError } from '@/actions/presence'
import type { Member } from '@/lib/members'

export const member = (userId: string, joinedAt = 1_000, more: Partial<Member> = {}): Member => ({
  userId,
  name: userId,
  avatarUrl: null,
  isAuthor: false,
  joinedAt,
  ...more
})

export class FakeServer {
  calls: string[] = []
  members: Member[] = []
  version = 1
  joined = true // whether polls find the tab's connection
  error: ActionError | null = null
  authorId: string | null = null
  gate: Promise<void> = Promise.resolve() // answers wait for it

  private answer<T>(call: string, data: () => T) {
    this.calls.push(call)
    // As of the call, however late the answer comes.
    const result = this.error
      ? { success: false as const, error: this.error }
      : { success: true as const, data: data() }
    return this.gate.then(() => result)
  }

  actions = {
    joinRoom: vi.fn(({ lease }: { lease: string; connectionId: string }) =>
      this.answer(`join ${lease}`, () => {
        this.joined = true
        return { userId: 'me', authorId: this.authorId, now: Date.now(), list: this.list(null) }
      })
    ),
    leaveRoom: vi.fn((_: { connectionId: string }) => this.answer('leave', () => ({ left: true }))),
    getRoomMembers: vi.fn(({ known }: { known: string | null; connectionId: string }) =>
      this.answer(`poll ${known}`, () => ({ ...this.list(known), joined: this.joined }))
    )
  }

  private list(known: string | null) {
    const version = `v${this.version}`
    return { version, members: version === known ? null : [...this.members] }
  }
}
