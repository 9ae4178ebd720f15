'use client'

import { useEffect, useRef, useState } from 'react'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { Avatar } from './Avatar'
import { formatNumber, readersInRoom } from './format'
import { firstOf } from './firstOf'
import styles from './ReaderCount.module.css'

const STACK = 6
const ANNOUNCE_EVERY = 2_000

// A stack of the first avatars, and how many readers there are: the same for
// ten and for ten thousand.
export function ReaderCount({ inRoom }: { inRoom: boolean }) {
  const members = usePresenceStore((state) => state.members)
  const text = inRoom && members.size > 0 ? readersInRoom(members.size) : ''
  return (
    <div className={styles.count}>
      {text && (
        <>
          <span className={styles.stack} aria-hidden="true">
            {firstOf(members, STACK).map((member) => (
              <Avatar
                key={member.userId}
                id={member.userId}
                name={member.name}
                avatarUrl={member.avatarUrl}
                size="small"
              />
            ))}
            {members.size > STACK && <span className={styles.more}>+{formatNumber(members.size - STACK)}</span>}
          </span>
          <span data-testid="count">{text}</span>
        </>
      )}
      <Announcement text={text} />
    </div>
  )
}

// What a screen reader says of changes: the latest, and not more often than it can.
function Announcement({ text }: { text: string }) {
  const [said, setSaid] = useState('')
  const latest = useRef(text)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)

  useEffect(() => {
    latest.current = text
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      setSaid(latest.current)
    }, ANNOUNCE_EVERY)
  }, [text])
  useEffect(
    () => () => {
      clearTimeout(timer.current)
      timer.current = undefined
    },
    []
  )

  return (
    <span role="status" className="visuallyHidden">
      {said}
    </span>
  )
}
