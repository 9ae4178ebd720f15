// Colours of readers and books: the CSS variables --hue and --tone. A reader's is
// the same in every room and tab, as far as it is free: of those that one page shows,
// no two have the same while there are colours left.

import type { CSSProperties } from 'react'

// Hues that the eye tells apart, with two depths of each.
const HUES = [25, 55, 85, 125, 160, 195, 230, 260, 290, 320, 350]
const TONES = [0.47, 0.37]
export const COLOURS = HUES.length * TONES.length

const taken = new Map<string, number>()
const uses = new Array<number>(COLOURS).fill(0)

// On the server, and for a reader who comes first, the colour of his id.
export function readerStyle(id: string): CSSProperties {
  return styleOf(typeof window === 'undefined' ? indexOf(id) : colourOf(id))
}

export const bookStyle = (id: string): CSSProperties => styleOf(indexOf(id))

function colourOf(id: string): number {
  const known = taken.get(id)
  if (known !== undefined) return known
  const first = indexOf(id)
  const least = Math.min(...uses)
  let colour = first
  while (uses[colour]! > least) colour = (colour + 5) % COLOURS // 5 and 22 have no divisor in common
  taken.set(id, colour)
  uses[colour]!++
  return colour
}

function styleOf(colour: number): CSSProperties {
  return { '--hue': HUES[colour % HUES.length], '--tone': TONES[Math.floor(colour / HUES.length)] } as CSSProperties
}

// FNV-1a, and a last stir: ids that differ in one letter are far apart.
function indexOf(id: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return ((hash ^ (hash >>> 13)) >>> 0) % COLOURS
}
