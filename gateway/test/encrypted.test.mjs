// Encrypted channels: what the database signs and hands out, the official packages encrypt and decrypt with.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { apiOf, atEnd, closeAll, encryptionMasterKeyBase64, newSocket, twoGateways, until } from './harness.mjs'

const Pusher = createRequire(import.meta.url)('pusher-js/dist/node/pusher.js')
let database, gateway, other, api
before(async () => {
  ;({ database, gateway, other } = await twoGateways())
  await database.sql('UPDATE presence.pusher_app SET encryption_master_key = $1', [encryptionMasterKeyBase64])
  api = apiOf(gateway, { encryptionMasterKeyBase64 })
})
after(closeAll)

// An unmodified pusher-js, whose auth route asks the database.
async function subscribe(gw, user, name, own = true) {
  const authorize = own
    ? "SELECT presence.pusher_authorize_channel($1, $2, $3)::jsonb AS auth"
    : "SELECT jsonb_build_object('auth', presence.pusher_auth_signature($2, $3), 'shared_secret', presence.pusher_shared_secret($3)) AS auth WHERE $1::text IS NOT NULL"
  const client = new Pusher('app-key', {
    wsHost: '127.0.0.1', wsPort: gw.port, forceTLS: false, enabledTransports: ['ws'], cluster: 'x',
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) =>
        database.sql(authorize, [user, socketId, channelName]).then(({ rows }) => done(null, rows[0].auth), (error) => done(error, null))
    }
  })
  atEnd(() => client.disconnect())
  const channel = client.subscribe(name)
  const got = []
  channel.bind('note', (data) => got.push(data))
  const failed = []
  channel.bind('pusher:subscription_error', (error) => failed.push(error))
  await until('an answer', () => channel.subscribed || failed.length)
  return { channel, got, failed }
}

test('pusher-js decrypts what the official library encrypts, on all gateways', async () => {
  const [a, b] = [await subscribe(gateway, 'ann', 'private-encrypted-user-ann'), await subscribe(other, 'ann', 'private-encrypted-user-ann')]
  const raw = await newSocket(other)
  await raw.subscribe('private-encrypted-user-ann')
  await api.trigger('private-encrypted-user-ann', 'note', { text: 'ä secret 🙂' })
  for (const { got } of [a, b]) await until('decrypted', () => got.length)
  assert.deepEqual([a.got, b.got], [[{ text: 'ä secret 🙂' }], [{ text: 'ä secret 🙂' }]])
  const { data } = await raw.next('note')
  assert.deepEqual(Object.keys(JSON.parse(data)).sort(), ['ciphertext', 'nonce'])
})

test('the last event of an encrypted cache channel is encrypted in the database, and decrypted by who comes', async () => {
  await api.trigger('private-encrypted-cache-ann', 'note', { text: 'kept secret' })
  const { got } = await subscribe(other, 'ann', 'private-encrypted-cache-ann', false)
  await until('decrypted', () => got.length)
  assert.deepEqual(got, [{ text: 'kept secret' }])
  const { message } = (await database.sql("SELECT message FROM presence.channel_cache WHERE channel = 'private-encrypted-cache-ann'")).rows[0]
  assert.ok(message.includes('ciphertext') && !message.includes('kept'))
})

test('whose channel it is not gets no secret, and a policy of the application may give it', async () => {
  const { failed } = await subscribe(gateway, 'ben', 'private-encrypted-user-ann')
  assert.equal(failed.length, 1)
  const { channel, got } = await subscribe(gateway, 'ben', 'private-encrypted-team', false)
  assert.ok(channel.subscribed)
  await api.trigger('private-encrypted-team', 'note', 1)
  await until('decrypted', () => got.length)
})

test('the master key is in no answer, error or log', async () => {
  const seen = []
  for (const text of ['SELECT to_json(presence.pusher_apps())', "SELECT presence.pusher_authorize_channel('ann', '1.1', 'private-encrypted-user-ann')"])
    seen.push(JSON.stringify((await database.sql(text)).rows))
  for (const text of ["UPDATE presence.pusher_app SET encryption_master_key = encryption_master_key || 'x'", 'INSERT INTO presence.pusher_app SELECT * FROM presence.pusher_app'])
    seen.push(await database.sql(text).then(() => assert.fail('no error'), (error) => JSON.stringify([error.message, error.detail, error.hint, error.where])))
  seen.push(gateway.log)
  for (const text of seen) assert.ok(!text.includes(encryptionMasterKeyBase64.slice(0, 20)), text)
})
