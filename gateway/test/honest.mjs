// An honest client, in a process of its own: honest.mjs PORT ROOM [USER]. From a line on its standard
// input until that ends it pings, joins and leaves; then it prints what each took: {"ping": [ms...], "join": [ms...],
// "lost": closes it did not want}.
import { authorize, sleep } from './harness.mjs'
import WebSocket from 'ws'

const [port, room, user = 'honest'] = process.argv.slice(2)
const times = { ping: [], join: [], lost: 0 }
const waits = new Map()
const socket = new WebSocket(`ws://127.0.0.1:${port}/app/app-key?protocol=7`)
let ended = false
socket.on('close', () => {
  if (!ended) times.lost++
})
socket.on('error', () => {})
const heard = (event) => new Promise((resolve) => waits.set(event, resolve))
socket.on('message', (text) => {
  const message = JSON.parse(text)
  if (message.event === 'pusher:ping') socket.send('{"event":"pusher:pong"}')
  const done = waits.get(message.event)
  if (!done) return
  waits.delete(message.event)
  done(message)
})

async function measure(list, event, say) {
  const start = performance.now()
  const answer = heard(event)
  say()
  await answer
  list.push(performance.now() - start)
}

const hello = await heard('pusher:connection_established')
const { socket_id } = JSON.parse(hello.data)
const begun = new Promise((resolve) => process.stdin.once('data', resolve))
const stopped = new Promise((resolve) => process.stdin.on('end', resolve))
const finish = () => {
  ended = true
  if (times.waiting) times.join.push(performance.now() - times.waiting) // it has waited that long, so far
  process.stdout.write(JSON.stringify(times) + '\n', () => process.exit())
}
stopped.then(finish)
console.log('ready')
await begun
for (let i = 0; ; i++) {
  await measure(times.ping, 'pusher:pong', () => socket.send('{"event":"pusher:ping","data":{}}'))
  if (i % 5 === 0) {
    const channel = `presence-room-${room}-${i % 2000}`
    const start = performance.now()
    times.waiting = start
    await measure(times.join, 'pusher_internal:subscription_succeeded', () =>
      socket.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel, ...authorize(socket_id, channel, { user_id: user }) } })))
    delete times.waiting
    socket.send(JSON.stringify({ event: 'pusher:unsubscribe', data: { channel } }))
  }
  await sleep(40)
}
