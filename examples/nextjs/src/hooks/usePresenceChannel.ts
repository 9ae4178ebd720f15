// Enters a room while its component is mounted, and leaves it when the component
// goes, or when the book is another one or null. One room a page: the store
// has one currentChannel.

import { useCallback, useEffect, useRef } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { RoomSession, type PresenceEvent } from '@/lib/room-session'
import { usePresenceStore } from '@/stores/usePresenceStore'

export type { PresenceEvent }

type Options = { onEvent?: ((event: PresenceEvent) => void) | undefined }

// Members are in usePresenceStore, so that only who shows them is drawn again.
// leave() is the user's leave, of all of his tabs; close() ends this tab's stay
// before the component goes, and says when the server knows: for who signs out, and
// has no session to leave with afterwards.
export function usePresenceChannel(bookId: string | null, { onEvent }: Options = {}) {
  const listener = useRef(onEvent)
  useEffect(() => {
    listener.current = onEvent
  })
  const current = useRef<RoomSession>(undefined)

  useEffect(() => {
    if (bookId === null) return
    const session = new RoomSession(bookId, (event) => listener.current?.(event))
    session.open()
    current.current = session
    return () => {
      void session.close()
      usePresenceStore.getState().leaveChannel() // a refusal too
    }
  }, [bookId])

  const leave = useCallback(async () => current.current?.leave(), [])
  const close = useCallback(async () => current.current?.close(), [])
  const state = usePresenceStore(
    useShallow(({ currentChannel, isConnected, connectionMode, error, unreachable }) => ({
      currentChannel,
      isConnected,
      connectionMode,
      error,
      unreachable
    }))
  )
  return { ...state, leave, close }
}
