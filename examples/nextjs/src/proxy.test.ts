import { NextRequest } from 'next/server'
import { afterEach, expect, it, vi } from 'vitest'

const headersOf = async (url: string) => {
  vi.resetModules()
  vi.stubEnv('BETTER_AUTH_URL', url)
  const { proxy } = await import('./proxy')
  return proxy(new NextRequest(url)).headers
}

afterEach(() => vi.unstubAllEnvs())

it('an app on https asks to be on https for good, one on http does not', async () => {
  expect((await headersOf('https://reading.example.com')).get('strict-transport-security')).toMatch(/^max-age=\d{8};/)
  expect((await headersOf('http://127.0.0.1:3000')).get('strict-transport-security')).toBeNull()
})

it('each answer has a nonce of its own, which the page is told', async () => {
  const policies = []
  for (let n = 0; n < 2; n++) {
    const headers = await headersOf('https://reading.example.com')
    const policy = headers.get('content-security-policy')!
    expect(policy).toContain("connect-src 'self' ws://127.0.0.1:6001;")
    expect(headers.get('x-middleware-request-content-security-policy')).toBe(policy)
    policies.push(policy)
  }
  expect(policies[0]).not.toBe(policies[1])
})
