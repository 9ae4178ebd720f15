// Pusher's HTTP API, as this server asks it: what it was told meanwhile. The
// signatures are checked where a real one answers (test/browser, gateway/test).

import { vi } from 'vitest'
import { untilDone } from './later'

export type Told = { path: string; channels?: string[]; name?: string; data?: unknown }

export async function toldOf(run: () => Promise<unknown>): Promise<object[]> {
  const told: object[] = []
  const fetch = vi.spyOn(globalThis, 'fetch').mockImplementation(async (url, init) => {
    const { pathname, searchParams } = new URL(String(url))
    if (!searchParams.get('auth_signature')) throw new Error('not signed')
    const body = JSON.parse(String(init?.body))
    if (pathname.endsWith('/events')) told.push({ ...body, data: JSON.parse(body.data) })
    else told.push({ path: pathname })
    return new Response('{}')
  })
  try {
    await run()
    await untilDone()
  } finally {
    fetch.mockRestore()
  }
  return told
}
