import type { Member } from '@/lib/members'

// The first members, without a walk through the rest.
export function firstOf(members: ReadonlyMap<string, Member>, count: number): Member[] {
  const first: Member[] = []
  for (const member of members.values()) {
    if (first.length === count) break
    first.push(member)
  }
  return first
}
