// Calls of the server, one at a time and in order: a leave that overtook its
// join would leave a ghost until the lease ends.

import { unstable_isUnrecognizedActionError as isOfAnotherBuild } from 'next/navigation'
import type { ActionResult } from '@/actions/presence'

const TIMEOUT = 15_000

export class Serial {
  private last: Promise<unknown> = Promise.resolve()

  // A call that fails (no network) or hangs is 'unavailable'; of a page that is older than the server, 'invalid'.
  run<T>(call: () => Promise<ActionResult<T>>): Promise<ActionResult<T>>
  run(call: () => Promise<void>): Promise<unknown>
  run(call: () => Promise<unknown>): Promise<unknown> {
    const result = this.last
      .then(() => withTimeout(call()))
      .catch((error: unknown) => ({
        success: false,
        error: isOfAnotherBuild(error) ? 'invalid' : 'unavailable'
      }))
    this.last = result
    return result
  }
}

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), TIMEOUT)
  })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}
