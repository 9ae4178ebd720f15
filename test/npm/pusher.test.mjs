// The extension's signatures are those of Pusher's official server library.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import pg from 'pg'
import Pusher from 'pusher'

const app = { appId: '77', key: 'npm-key', secret: 'npm secret ü' }
const pusher = new Pusher({ ...app, cluster: 'test' })
const client = new pg.Client({ database: 'regression' })
const value = async (sql, ...params) => Object.values((await client.query(sql, params)).rows[0])[0]

before(async () => {
  await client.connect()
  await client.query('INSERT INTO presence.pusher_app VALUES ($1, $2, $3)', [app.appId, app.key, app.secret])
})
after(async () => {
  await client.query('DELETE FROM presence.pusher_app WHERE app_id = $1', [app.appId])
  await client.query("SELECT presence.forget_book('npm')")
  await client.end()
})

test('private channel', async () => {
  const ours = await value('SELECT presence.pusher_authorize_channel($1, $2, $3)', 'u-1', '12.34', 'private-user-u-1')
  assert.deepEqual(ours, pusher.authorizeChannel('12.34', 'private-user-u-1'))
})

test('presence channel, with user_info that needs escapes', async () => {
  const info = { name: 'Ann "the" O\'Brien \\ ü € 😀', n: 1.5, list: [true, null] }
  const ours = await value('SELECT presence.pusher_authorize_channel($1, $2, $3, $4)', 'u-1', '12.34', 'presence-room-npm', info)
  assert.deepEqual(JSON.parse(ours.channel_data), { user_id: 'u-1', user_info: info })
  assert.equal(ours.auth, `${app.key}:${createHmac('sha256', app.secret).update(`12.34:presence-room-npm:${ours.channel_data}`).digest('hex')}`)
  const plain = { user_id: 'u-1', user_info: { name: 'Ann' } }
  assert.deepEqual(
    await value('SELECT presence.pusher_authorize_channel($1, $2, $3, $4)', 'u-1', '12.34', 'presence-room-npm', plain.user_info),
    pusher.authorizeChannel('12.34', 'presence-room-npm', plain))
})

test('user authentication', async () => {
  const ours = await value('SELECT presence.pusher_authenticate_user($1, $2)', 'u-1', '12.34')
  assert.deepEqual(ours, pusher.authenticateUser('12.34', { id: 'u-1' }))
})

test('HTTP requests', async () => {
  const at = new Date(1760000000000)
  const realNow = Date.now
  Date.now = () => at.getTime()
  try {
    for (const request of [
      { method: 'POST', path: '/apps/77/events', body: '{"name":"e","channel":"c","data":"ü"}' },
      { method: 'GET', path: '/apps/77/channels', params: { filter_by_prefix: 'presence-', info: 'user_count' } }
    ]) {
      const theirs = pusher.createSignedQueryString(request)
      const ours = await value('SELECT presence.pusher_sign_request($1, $2, $3, $4, $5)',
        request.method, request.path, request.body ?? null, request.params ?? null, at)
      assert.equal(ours, theirs)
    }
  } finally {
    Date.now = realNow
  }
})

test('webhooks', async () => {
  const body = JSON.stringify({
    time_ms: 1760000000000,
    events: [{ name: 'member_added', channel: 'presence-room-npm', user_id: 'u-9' }]
  })
  const signature = createHmac('sha256', app.secret).update(body).digest('hex')
  const webhook = pusher.webhook({
    headers: { 'x-pusher-key': app.key, 'x-pusher-signature': signature, 'content-type': 'application/json' },
    rawBody: body
  })
  assert.equal(webhook.isValid(), true)
  assert.equal(await value('SELECT presence.pusher_verify_webhook($1, $2, $3)', app.key, signature, body), true)
  assert.equal(await value('SELECT presence.pusher_verify_webhook($1, $2, $3)', app.key, signature, body + ' '), false)
  assert.equal(await value('SELECT presence.pusher_apply_webhook($1, $2, $3)', app.key, signature, body), 1)
  assert.equal(await value("SELECT user_id FROM presence.room_members('npm')"), 'u-9')
})
