// The members that a tab shows, put together from what it hears: lists that it
// asked for, and a channel that tells of changes. Writes them to the store, and says
// who came and went.

import { usePresenceStore } from '@/stores/usePresenceStore'
import { userInfo, type Member, type RoomPresence, type RoomState } from './members'

export type MemberEvent = { type: 'joined' | 'updated' | 'left'; member: Member }

// As pusher-js knows a member.
export type Subscribed = { id: string; info: unknown }

// Makes the list that the answer tells of out of the one before. False: it is the same.
export function applyPoll(list: Map<string, Member>, { members, added, removed }: RoomState): boolean {
  if (members) list.clear()
  for (const userId of removed ?? []) list.delete(userId)
  for (const member of members ?? added ?? []) list.set(member.userId, member)
  return (members ?? added ?? removed) !== null
}

export class RoomList {
  private readonly store = usePresenceStore.getState
  private me: string | null = null
  private authorId: string | null = null
  private clockSkew = 0 // the database's clock less this one
  private goneSince = new Set<string>() // who left while a list was on its way
  private hasList = false
  private polled = new Map<string, Member>() // the list of the last answer, whatever the channel has said since
  private isShown = false // and nothing else
  known: string | null = null // its version

  // holdsAll: whether everybody who is in the room is in its channel, as with a gateway.
  constructor(
    private readonly holdsAll: boolean,
    private readonly tell: (event: MemberEvent) => void
  ) {}

  joined({ userId, lastActiveAt }: RoomPresence): void {
    this.me = userId
    this.clockSkew = lastActiveAt.getTime() - Date.now()
  }

  // A list is asked for.
  asks(): void {
    this.goneSince.clear()
  }

  // What is shown is no longer the list of the last answer: the next one is shown, whether it brings news or not.
  outdated(): void {
    this.isShown = false
  }

  // An answer. channel: who is in the subscribed channel; null without one.
  answered(state: RoomState, channel: Subscribed[] | null): void {
    const isNew = applyPoll(this.polled, state)
    this.known = state.version
    this.authorId = state.authorId
    if (!isNew && this.isShown) return
    this.isShown = true
    const members = channel ? this.membersOf(channel) : new Map<string, Member>()
    for (const member of this.polled.values()) {
      // The list may be older than what the channel says; of a gateway's, nobody is missing.
      const isOld = this.goneSince.has(member.userId) || (channel && this.holdsAll && !members.has(member.userId))
      if (!isOld) members.set(member.userId, member)
    }
    this.show(members)
  }

  // The subscription has succeeded.
  subscribed(channel: Subscribed[]): void {
    const members = this.membersOf(channel)
    // Who polls is no member of Pusher's channel, but one in the database.
    if (!this.holdsAll) for (const [id, member] of this.store().members) if (!members.has(id)) members.set(id, member)
    this.show(members)
  }

  added(subscribed: Subscribed): void {
    const type = this.store().members.has(subscribed.id) ? 'updated' : 'joined'
    const member = this.toMember(subscribed)
    this.store().addMember(member)
    this.tell({ type, member })
  }

  removed({ id }: Subscribed): void {
    this.goneSince.add(id)
    const member = this.store().members.get(id)
    this.store().removeMember(id)
    if (member) this.tell({ type: 'left', member })
  }

  private show(members: Map<string, Member>): void {
    const before = this.store().members
    this.store().setMembers(members.values())
    // Who is there when one comes did not come just now.
    if (this.hasList) this.tellDifference(before, members)
    this.hasList = true
  }

  private tellDifference(before: ReadonlyMap<string, Member>, after: ReadonlyMap<string, Member>): void {
    for (const [id, member] of before) if (!after.has(id) && id !== this.me) this.tell({ type: 'left', member })
    for (const [id, member] of after) if (!before.has(id) && id !== this.me) this.tell({ type: 'joined', member })
  }

  private membersOf(channel: Subscribed[]): Map<string, Member> {
    return new Map(channel.map((subscribed) => [subscribed.id, this.toMember(subscribed)]))
  }

  private toMember({ id, info }: Subscribed): Member {
    const old = this.store().members.get(id)
    return {
      userId: id,
      ...userInfo.parse(info),
      isAuthor: old?.isAuthor ?? id === this.authorId,
      joinedAt: old?.joinedAt ?? Date.now() + this.clockSkew
    }
  }
}
