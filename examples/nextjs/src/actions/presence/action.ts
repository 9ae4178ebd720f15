// What the three actions have in common: the session first, then the input,
// then the database; and what they answer.

import 'server-only'
import { headers } from 'next/headers'
import type { z } from 'zod'
import { failure, type ActionResult } from '@/lib/members'
import { isWithinLimit } from '@/lib/rate-limit'
import { currentUser, type SessionUser } from '@/lib/session'
import { refusalStatus } from '@/lib/sql-state'

// The user comes from the session, never from the input. run returns null if there is no such book.
export async function asUser<Input, T>(
  schema: z.ZodType<Input>,
  input: unknown,
  run: (user: SessionUser, input: Input) => Promise<T | null>
): Promise<ActionResult<T>> {
  try {
    const user = await currentUser(await headers())
    if (!user) return failure('unauthorized')
    if (!(await isWithinLimit('presence', user.id))) return failure('unavailable')

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
