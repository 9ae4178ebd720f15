// Calls of the server, one at a time and in order: a leave that overtook its
// join would leave a ghost until the lease ends.

import { failure, type ActionResult } from './members'

const TIMEOUT = 10_000

export class Serial {
  private last: Promise<unknown> = Promise.resolve()

  // A call that fails or hangs is 'unavailable'.
  run<T>(call: () => Promise<ActionResult<T>>): Promise<ActionResult<T>> {
    const result = this.last.then(() => withTimeout(call())).catch(() => failure('unavailable'))
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
