// A real pusher-js, which is not asked to connect anywhere that answers.
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { PusherConfig } from './pusher-client'
import { PUSHER_META } from './pusher-meta'

const gateway = (tls: boolean): PusherConfig => ({ kind: 'gateway', key: 'k', host: '127.0.0.1', port: 9, tls })

beforeEach(() => {
  vi.resetModules()
  document.head.innerHTML = ''
})

// The page has the configuration.
async function clientOf(config: PusherConfig) {
  const meta = document.createElement('meta')
  meta.name = PUSHER_META
  meta.content = JSON.stringify(config)
  document.head.append(meta)
  return (await import('./pusher-client')).getPusherClient()
}

test.each([false, true])('has a way to connect, TLS %s', async (tls) => {
  const pusher = await clientOf(gateway(tls))
  expect(pusher.connection.state).not.toBe('failed')
  pusher.disconnect()
})

test('is one for the page', async () => {
  const pusher = await clientOf(gateway(false))
  const { getPusherClient, socketHolds } = await import('./pusher-client')
  expect(getPusherClient()).toBe(pusher)
  expect(socketHolds()).toBe(true)
  pusher.disconnect()
})

test('knows a Pusher account, whose sockets hold no presence', async () => {
  const pusher = await clientOf({ kind: 'pusher', key: 'k', cluster: 'eu' })
  expect((await import('./pusher-client')).socketHolds()).toBe(false)
  pusher.disconnect()
})

test('says what is missing', async () => {
  const { getPusherClient } = await import('./pusher-client')
  expect(getPusherClient).toThrow(PUSHER_META)
})

describe('a room left while its subscription was pending', () => {
  const name = 'presence-room-left'

  async function left() {
    const pusher = await clientOf(gateway(false))
    const channel = pusher.subscribe(name)
    channel.subscriptionPending = true
    pusher.unsubscribe(name)
    expect(channel.subscriptionCancelled).toBe(true)
    return pusher
  }

  test('is not subscribed again', async () => {
    const pusher = await left()
    pusher.connection.emit('connecting')
    expect(pusher.channel(name)).toBeUndefined()
    pusher.disconnect()
  })

  test('can be entered again before the next socket', async () => {
    const pusher = await left()
    pusher.connection.emit('disconnected')
    const channel = pusher.subscribe(name)
    pusher.connection.emit('connecting')
    expect(pusher.channel(name)).toBe(channel)
    expect(channel.subscriptionCancelled).toBe(false)
    pusher.disconnect()
  })
})
