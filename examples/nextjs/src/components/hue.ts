import type { CSSProperties } from 'react'

// A colour that is always the same for a user or a book: the CSS variable --hue.
export function hueStyle(id: string): CSSProperties {
  let hash = 0
  for (const char of id) hash = (Math.imul(hash, 31) + char.codePointAt(0)!) >>> 0
  return { '--hue': (hash * 137) % 360 } as CSSProperties
}
