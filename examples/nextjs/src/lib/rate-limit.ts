// How often one may ask: by what can't be forged. Who is signed in is counted by his
// user id; who is not, by the account that he tries, or with all strangers together. A
// client's address is for better-auth (auth.ts), and only as the named proxy tells it.
//
// Counted in this process: with N of them, the limits are N times these. What has
// to hold across processes takes RateLimiterPostgres, of the same package, in their place.

import 'server-only'
import { RateLimiterMemory } from 'rate-limiter-flexible'

const LIMITS = {
  // By user. A tab asks for two channels each time its socket connects.
  auth: new RateLimiterMemory({ points: 120, duration: 60 }),
  // By user. A tab polls every 30 seconds, and every 10 seconds at most.
  presence: new RateLimiterMemory({ points: 240, duration: 60 }),
  // By account: who guesses passwords has as many addresses as he likes.
  signIn: new RateLimiterMemory({ points: 10, duration: 60 }),
  // Of all strangers together: each costs a password's hash and a row.
  signUp: new RateLimiterMemory({ points: 120, duration: 60 })
}

// False: too often.
export async function isWithinLimit(kind: keyof typeof LIMITS, key: string): Promise<boolean> {
  return LIMITS[kind].consume(key).then(
    () => true,
    () => false
  )
}
