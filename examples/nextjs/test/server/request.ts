// Server actions find their request by next/headers; outside of Next.js, this stands for it.

import { vi } from 'vitest'
import type { Person } from './people'

let current = new Headers()

vi.mock('next/headers', () => ({ headers: async () => current }))

// The request that actions see from here on.
export function signedInAs<P extends Person | null>(person: P): P {
  current = person?.headers ?? new Headers()
  return person
}
