// A pusher-js of its own: client.mjs PORT USER BOOK says "in" once it is in the room.
import { newClient } from './harness.mjs'

const [port, user, book] = process.argv.slice(2)
newClient({ port: Number(port) }, user)
  .subscribe(`presence-room-${book}`)
  .bind('pusher:subscription_succeeded', () => console.log('in'))
