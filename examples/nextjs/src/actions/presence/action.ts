// What the three actions have in common: the session first, then the input,
// then the database; and what they answer.

import 'server-only'
import { headers } from 'next/headers'
import type { z } from 'zod'
import { refusalStatus } from '@/lib/pusher-server'
import { currentUser, type SessionUser } from '@/lib/session'

// unauthorized: nobody is signed in. not-found: no such book, or not for this
// user. invalid: not an input that the app sends. unavailable: try again.
export type ActionError = 'unauthorized' | 'invalid' | 'not-found' | 'unavailable'

export type ActionResult<T> = { success: true; data: T } | { success: false; error: ActionError }

const failure = (error: ActionError) => ({ success: false, error }) as const

// The user comes from the session, never from the input. run returns null if there is no such book.
export async function asUser<Input, T>(
  schema: z.ZodType<Input>,
  input: unknown,
  run: (user: SessionUser, input: Input) => Promise<T | null>
): Promise<ActionResult<T>> {
  try {
    const user = await currentUser(await headers())
    if (!user) return failure('unauthorized')

    const checked = schema.safeParse(input)
    if (!checked.success) return failure('invalid')

    const data = await run(user, checked.data)
    return data === null ? failure('not-found') : { success: true, data }
  } catch (error) {
    if (refusalStatus(error)) return failure('invalid')
    console.error(error)
    return failure('unavailable')
  }
}
