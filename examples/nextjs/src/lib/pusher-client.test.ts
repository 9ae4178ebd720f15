// A real pusher-js, which is not asked to connect anywhere that answers.
import { beforeEach, expect, test, vi } from 'vitest'
import type { PusherConfig } from './pusher-client'

const gateway = (tls: boolean): PusherConfig => ({ kind: 'gateway', key: 'k', host: '127.0.0.1', port: 9, tls })

beforeEach(() => vi.resetModules())

async function clientOf(config: PusherConfig) {
  const { pusherClient } = await import('./pusher-client')
  return pusherClient(config)
}

test.each([false, true])('has a way to connect, TLS %s', async (tls) => {
  const pusher = await clientOf(gateway(tls))
  expect(pusher.connection.state).not.toBe('failed')
  pusher.disconnect()
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
