// Who is in the room that this tab is in, and how the tab knows. In memory only:
// the database holds the truth, and a reload asks it again. Written by
// lib/room-session.ts, read by components.

import { create } from 'zustand'
import type { ActionError } from '@/actions/presence'
import type { Member } from '@/lib/members'

// realtime: a subscription tells. polling: it failed or is lost, and the list is
// fetched every 30 seconds. disconnected: in no room, or not yet.
export type ConnectionMode = 'realtime' | 'polling' | 'disconnected'

export type PresenceState = {
  members: ReadonlyMap<string, Member> // by user id, oldest first
  currentChannel: string | null
  isConnected: boolean // whether the subscription lives
  connectionMode: ConnectionMode
  error: ActionError | null // why there is no list
}

type PresenceActions = {
  enter: (channel: string) => void
  setMembers: (members: Iterable<Member>) => void
  putMember: (member: Member) => void
  removeMember: (userId: string) => void
  setConnectionMode: (mode: ConnectionMode) => void
  refuse: (error: ActionError) => void
  leave: () => void
}

const outside: PresenceState = {
  members: new Map(),
  currentChannel: null,
  isConnected: false,
  connectionMode: 'disconnected',
  error: null
}

const byAge = (a: Member, b: Member) => a.joinedAt - b.joinedAt || (a.userId < b.userId ? -1 : 1)

export const usePresenceStore = create<PresenceState & PresenceActions>()((set) => ({
  ...outside,

  enter: (channel) => set({ ...outside, currentChannel: channel }),

  setMembers: (members) => set({ members: new Map([...members].sort(byAge).map((member) => [member.userId, member])) }),

  // Adds him as the youngest, or changes him where he stands.
  putMember: (member) => set(({ members }) => ({ members: new Map(members).set(member.userId, member) })),

  removeMember: (userId) =>
    set((state) => {
      if (!state.members.has(userId)) return state
      const members = new Map(state.members)
      members.delete(userId)
      return { members }
    }),

  setConnectionMode: (mode) => set({ connectionMode: mode, isConnected: mode === 'realtime' }),

  // The channel stays: it says what was refused. The list does not.
  refuse: (error) => set(({ currentChannel }) => ({ ...outside, currentChannel, error })),

  leave: () => set(outside)
}))
