'use client'

import { useVirtualizer, type VirtualItem } from '@tanstack/react-virtual'
import { memo, useMemo, useRef } from 'react'
import type { Member } from '@/lib/members'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { Avatar } from './Avatar'
import { formatTime } from './format'
import styles from './MemberList.module.css'

const ROW = 52 // pixels, as in the style sheet
const OVERSCAN = 6

// The members, oldest first. Only those in sight are drawn: a room may have thousands.
export function MemberList({ me }: { me: string }) {
  const members = usePresenceStore((state) => state.members)
  const unreachable = usePresenceStore((state) => state.unreachable)
  const rows = useMemo(() => [...members.values()], [members])
  return (
    <div className={styles.members}>
      <h2 className="cardTitle" id="members-title">
        In the room
      </h2>
      {rows.length > 0 ? (
        <Rows rows={rows} me={me} isOld={unreachable !== null} />
      ) : (
        <p className={styles.waiting}>{unreachable ? 'Nobody can be shown.' : 'Joining …'}</p>
      )}
    </div>
  )
}

function Rows({ rows, me, isOld }: { rows: Member[]; me: string; isOld: boolean }) {
  const scroller = useRef<HTMLDivElement>(null)
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing here is memoized by a compiler
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    getItemKey: (index) => rows[index]!.userId,
    overscan: OVERSCAN,
    initialRect: { width: 0, height: ROW * 12 } // before it is measured
  })
  return (
    // Focusable, so that keys can scroll it.
    <div
      ref={scroller}
      className={styles.scroller}
      data-old={isOld || undefined}
      tabIndex={0}
      role="region"
      aria-labelledby="members-title"
    >
      <ul role="list" aria-labelledby="members-title" style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map((item) => (
          <Row
            key={item.key}
            member={rows[item.index]!}
            isMe={rows[item.index]!.userId === me}
            count={rows.length}
            start={item.start}
            index={item.index}
          />
        ))}
      </ul>
    </div>
  )
}

type RowProps = { member: Member; isMe: boolean; count: number } & Pick<VirtualItem, 'start' | 'index'>

const Row = memo(function Row({ member, isMe, count, start, index }: RowProps) {
  return (
    <li
      className={styles.row}
      style={{ transform: `translateY(${start}px)` }}
      data-user={member.userId}
      aria-setsize={count}
      aria-posinset={index + 1}
    >
      <Avatar id={member.userId} name={member.name} avatarUrl={member.avatarUrl} />
      <span className={styles.name}>
        {member.name}
        {isMe && <span className={styles.me}> (you)</span>}
      </span>
      {member.isAuthor && <span className={styles.badge}>Author</span>}
      <span className={styles.since}>
        <span className={styles.joined}>joined </span>
        <time dateTime={new Date(member.joinedAt).toISOString()}>{formatTime(member.joinedAt)}</time>
      </span>
    </li>
  )
})
