// What a request left to be done after its answer, by after() of Next.js.

const pending: Promise<unknown>[] = []

export const later = (run: () => unknown): void => void pending.push(Promise.resolve(run()))

export async function untilDone(): Promise<void> {
  await Promise.all(pending.splice(0))
}
