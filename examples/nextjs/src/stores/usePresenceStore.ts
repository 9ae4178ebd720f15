// Who is in the room that this tab is in, and how the tab knows. In memory only:
// the database holds the truth, and a reload asks it again. Written by
// lib/room-session.ts, read by components.

import { create } from 'zustand'
import type { ActionError, Member } from '@/lib/members'

// realtime: a subscription has succeeded, and tells. polling: it failed or is
// lost, and the list is fetched every 30 seconds. disconnected: in no room, not
// yet, or nothing answers.
export type ConnectionMode = 'realtime' | 'polling' | 'disconnected'

export type PresenceState = {
  members: ReadonlyMap<string, Member> // by user id, oldest first
  currentChannel: string | null
  isConnected: boolean // whether the subscription lives
  connectionMode: ConnectionMode
  error: ActionError | null // why there is no list
  // Nothing answers; so the list, if there is one, is as of then (milliseconds since 1970).
  unreachable: { since: number } | null
}

export type PresenceActions = {
  joinChannel: (channelName: string) => void
  leaveChannel: () => void
  setMembers: (members: Iterable<Member>) => void
  addMember: (member: Member) => void // or changes him, if he is there
  removeMember: (userId: string) => void
  setConnectionMode: (mode: ConnectionMode) => void
  setUnreachable: (since: number | null) => void
  refuse: (error: ActionError) => void
}

const outside: PresenceState = {
  members: new Map(),
  currentChannel: null,
  isConnected: false,
  connectionMode: 'disconnected',
  error: null,
  unreachable: null
}

const byAge = (a: Member, b: Member) => a.joinedAt - b.joinedAt || (a.userId < b.userId ? -1 : 1)

const toMap = (members: Iterable<Member>) => new Map([...members].sort(byAge).map((member) => [member.userId, member]))

export const usePresenceStore = create<PresenceState & PresenceActions>()((set) => ({
  ...outside,

  joinChannel: (channelName) => set({ ...outside, currentChannel: channelName }),

  leaveChannel: () => set(outside),

  setMembers: (members) => set({ members: toMap(members) }),

  addMember: (member) =>
    set((state) => {
      const members = new Map(state.members).set(member.userId, member)
      // Who is changed stays in his place; who is new is the youngest, but for clocks that differ.
      return { members: isSorted(members, member) ? members : toMap(members.values()) }
    }),

  removeMember: (userId) =>
    set((state) => {
      if (!state.members.has(userId)) return state
      const members = new Map(state.members)
      members.delete(userId)
      return { members }
    }),

  setConnectionMode: (mode) => set({ connectionMode: mode, isConnected: mode === 'realtime' }),

  setUnreachable: (since) => set({ unreachable: since === null ? null : { since } }),

  // The channel stays: it says what was refused. The list does not.
  refuse: (error) => set(({ currentChannel }) => ({ ...outside, currentChannel, error }))
}))

function isSorted(members: ReadonlyMap<string, Member>, added: Member): boolean {
  let before: Member | undefined
  for (const member of members.values()) {
    if (before && (member === added || before === added) && byAge(before, member) > 0) return false
    before = member
  }
  return true
}
