import { describe, expect, it } from 'vitest'
import { contentSecurityPolicy, socketOrigin } from './security'

describe('the Content-Security-Policy', () => {
  const policy = (isDevelopment = false) =>
    contentSecurityPolicy({
      nonce: 'abc',
      connect: 'wss://gateway.example.com:443',
      pictures: ['a.example.com'],
      isDevelopment
    })

  it('allows the own scripts, the socket server and the named pictures, and no frames', () => {
    expect(policy()).toContain("script-src 'self' 'nonce-abc' 'strict-dynamic';")
    expect(policy()).toContain("connect-src 'self' wss://gateway.example.com:443;")
    expect(policy()).toContain("img-src 'self' data: https://a.example.com;")
    expect(policy()).toContain("frame-ancestors 'none'")
    expect(policy()).not.toContain('unsafe-eval')
    expect(policy(true)).toContain('unsafe-eval')
  })

  it('knows where the socket goes', () => {
    expect(socketOrigin({ kind: 'pusher', key: 'k', cluster: 'eu' })).toBe('wss://ws-eu.pusher.com')
    expect(socketOrigin({ kind: 'gateway', key: 'k', host: 'h', port: 6001, tls: false })).toBe('ws://h:6001')
  })
})
