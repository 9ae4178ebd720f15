// A reader in front of a book: in its room or not, by his Join and Leave.

import { useCallback, useState } from 'react'
import { usePresenceChannel, type PresenceEvent } from '@/hooks/usePresenceChannel'

type Options = { onEvent?: (event: PresenceEvent) => void; onNote?: (text: string) => void }

export function useRoom(bookId: string, { onEvent, onNote }: Options = {}) {
  const [joined, setJoined] = useState<string | null>(null)
  const inRoom = joined === bookId // another book is another room

  const hear = (event: PresenceEvent) => {
    onEvent?.(event)
    if (event.type === 'left-elsewhere') setJoined(null)
  }
  const { error, leave, close } = usePresenceChannel(inRoom ? bookId : null, { onEvent: hear })

  const toggle = useCallback(async () => {
    onNote?.(inRoom ? 'You left' : 'You are joining')
    if (inRoom) void leave()
    setJoined(inRoom ? null : bookId)
  }, [bookId, inRoom, leave, onNote])

  return { inRoom, error, toggle, close }
}
