'use client'

import { memo, useState } from 'react'
import type { Member } from '@/lib/members'
import { usePresenceStore } from '@/stores/usePresenceStore'
import { Avatar } from './Avatar'
import { firstOf } from './firstOf'
import { formatNumber, formatTime } from './format'
import styles from './MemberList.module.css'

const PAGE = 50

// The members, oldest first, a page of them at a time: a room may have thousands.
export function MemberList({ me }: { me: string }) {
  const members = usePresenceStore((state) => state.members)
  const [shown, setShown] = useState(PAGE)
  const hidden = members.size - shown

  return (
    <div className={styles.members}>
      <h2 className="cardTitle" id="members-title">
        In the room
      </h2>
      <ul role="list" aria-labelledby="members-title" aria-busy={members.size === 0}>
        {firstOf(members, shown).map((member) => (
          <Row key={member.userId} member={member} isMe={member.userId === me} />
        ))}
      </ul>
      {members.size === 0 && <p className={styles.waiting}>Joining …</p>}
      {hidden > 0 && (
        <button type="button" className={`button buttonQuiet ${styles.more}`} onClick={() => setShown(shown + PAGE)}>
          Show {formatNumber(Math.min(hidden, PAGE))} more of {formatNumber(members.size)}
        </button>
      )}
    </div>
  )
}

const Row = memo(function Row({ member, isMe }: { member: Member; isMe: boolean }) {
  return (
    <li className={styles.row} data-user={member.userId}>
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
