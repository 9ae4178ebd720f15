// A real pusher-js, which is not asked to connect anywhere that answers.
import { beforeEach, expect, test, vi } from 'vitest'
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

test('a room left while its subscription was pending is not subscribed again', async () => {
  const pusher = await clientOf(gateway(false))
  const channel = pusher.subscribe('presence-room-left')
  channel.subscriptionPending = true
  pusher.unsubscribe('presence-room-left')
  expect(channel.subscriptionCancelled).toBe(true)
  channel.subscriptionPending = false
  pusher.connection.emit('connecting')
  expect(pusher.channel('presence-room-left')).toBeUndefined()
  pusher.disconnect()
})
