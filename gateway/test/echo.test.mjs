// Laravel Echo, unmodified: joins a presence channel, sees who comes and goes, whispers.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import Echo from 'laravel-echo'
import Pusher from 'pusher-js'
import { atEnd, authorize, closeAll, newDatabase, startGateway, until } from './harness.mjs'

let gateway
before(async () => {
  gateway = await startGateway(await newDatabase())
})
after(closeAll)

function newEcho(id) {
  const echo = new (Echo.default ?? Echo)({
    broadcaster: 'reverb',
    Pusher,
    key: 'app-key',
    wsHost: '127.0.0.1',
    wsPort: gateway.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    authorizer: ({ name }) => ({
      authorize: (socketId, done) => done(null, authorize(socketId, name, name.startsWith('presence-') ? { user_id: id, user_info: { id } } : undefined))
    })
  })
  atEnd(() => echo.disconnect())
  return echo
}

test('join, here, joining, whisper, leaving', async () => {
  const seen = { here: null, joining: [], leaving: [], whisper: [] }
  newEcho('ann').join('room-echo')
    .here((users) => (seen.here = users))
    .joining((user) => seen.joining.push(user.id))
    .leaving((user) => seen.leaving.push(user.id))
    .listenForWhisper('typing', (data) => seen.whisper.push(data))
  await until('here', () => seen.here)
  assert.deepEqual(seen.here, [{ id: 'ann' }])
  const ben = newEcho('ben')
  let in_ = false
  const channel = ben.join('room-echo').here(() => (in_ = true))
  await until('ben is in', () => in_)
  await until('ann sees him', () => seen.joining.includes('ben'))
  channel.whisper('typing', { n: 1 })
  await until('he whispers', () => seen.whisper.length === 1)
  ben.leave('room-echo')
  await until('he left', () => seen.leaving.includes('ben'))
})
