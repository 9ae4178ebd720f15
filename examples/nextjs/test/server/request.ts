// Server actions find their request by next/headers, and do what has time by
// after(); outside of Next.js, this stands for both.

import { vi } from 'vitest'
import { later } from './later'
import type { Person } from './people'

let current = new Headers()

vi.mock('next/headers', () => ({ headers: async () => current }))
vi.mock('next/server', async (original) => ({
  ...(await original<typeof import('next/server')>()),
  after: later
}))

// The request that actions see from here on.
export function signedInAs<P extends Person | null>(person: P): P {
  current = person?.headers ?? new Headers()
  return person
}
