// Enters a room while its component is mounted, and leaves it when the component
// goes, or when the book is another one or null. One room a page: the store
// has one currentChannel.

import { useCallback, useEffect, useRef } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { pusherClient, type PusherConfig } from '@/lib/pusher-client'
import { RoomSession, type RoomEvent } from '@/lib/room-session'
import { usePresenceStore } from '@/stores/usePresenceStore'

type Options = {
  pusher: PusherConfig // from the server: pusherConfig()
  onEvent?: (event: RoomEvent) => void
}

// Members are in usePresenceStore, so that only who shows them is drawn again.
// leave() leaves before the component goes, and says when the server knows: for
// who signs out, and has no session to leave with afterwards.
export function usePresenceChannel(bookId: string | null, { pusher, onEvent }: Options) {
  const listener = useRef(onEvent)
  useEffect(() => {
    listener.current = onEvent
  })
  // What was there first stays: a page has one socket.
  const config = useRef(pusher)
  const current = useRef<RoomSession>(undefined)

  useEffect(() => {
    if (bookId === null) return
    const session = new RoomSession(bookId, pusherClient(config.current), config.current.kind === 'gateway', (event) =>
      listener.current?.(event)
    )
    session.open()
    current.current = session
    return () => void session.close()
  }, [bookId])

  const leave = useCallback(async () => current.current?.close(), [])
  const state = usePresenceStore(
    useShallow(({ currentChannel, isConnected, connectionMode, error }) => ({
      currentChannel,
      isConnected,
      connectionMode,
      error
    }))
  )
  return { ...state, leave }
}
