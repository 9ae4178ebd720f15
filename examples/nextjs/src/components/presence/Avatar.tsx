import { useState } from 'react'
import { readerStyle } from '../colour'
import styles from './Avatar.module.css'

type Props = { id: string; name: string; avatarUrl: string | null; size?: 'small' | 'medium' }

// A picture, or initials on a colour that is always the same for a user. For the
// eye only: the name stands beside it, or is read out for the group.
export function Avatar({ id, name, avatarUrl, size = 'medium' }: Props) {
  const [broken, setBroken] = useState<string | null>(null)
  return (
    <span className={`${styles.avatar} ${styles[size]}`} style={readerStyle(id)} aria-hidden="true">
      {avatarUrl && avatarUrl !== broken ? (
        // From a host that AVATAR_HOSTS names when the server runs: next/image would have to know it when it is built.
        // eslint-disable-next-line @next/next/no-img-element
        <img src={avatarUrl} alt="" referrerPolicy="no-referrer" onError={() => setBroken(avatarUrl)} />
      ) : (
        initialsOf(name)
      )}
    </span>
  )
}

function initialsOf(name: string): string {
  const words = name.trim().split(/\s+/)
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]]
  return letters
    .map((word) => [...(word ?? '')][0] ?? '')
    .join('')
    .toUpperCase()
}
