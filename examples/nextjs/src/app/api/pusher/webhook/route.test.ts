import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { channelOf } from '@/lib/members'
import { membersOf, newBook } from '../../../../../test/server/people'
import { POST } from './route'

function post(body: string, headers: Record<string, string>) {
  return POST(new Request('http://127.0.0.1:3000/api/pusher/webhook', { method: 'POST', body, headers }))
}

const signed = (body: string, secret = 'reading-secret') => ({
  'x-pusher-key': 'reading-key',
  'x-pusher-signature': createHmac('sha256', secret).update(body).digest('hex')
})

const webhook = (name: string, book: string) =>
  JSON.stringify({ time_ms: 1, events: [{ name, channel: channelOf(book), user_id: 'ann' }] })

describe('POST /api/pusher/webhook', () => {
  it('applies what Pusher saw', async () => {
    const book = await newBook()
    const added = webhook('member_added', book)
    expect((await post(added, signed(added))).status).toBe(204)
    expect(await membersOf(book)).toMatchObject([{ user_id: 'ann' }])
    const removed = webhook('member_removed', book)
    expect((await post(removed, signed(removed))).status).toBe(204)
    expect(await membersOf(book)).toEqual([])
  })

  it('answers 403 if it is not signed, or wrongly, and applies nothing', async () => {
    const book = await newBook()
    const body = webhook('member_added', book)
    expect((await post(body, {})).status).toBe(403)
    expect((await post(body, signed(body, 'another secret'))).status).toBe(403)
    expect((await post(body, signed(body + ' '))).status).toBe(403)
    expect(await membersOf(book)).toEqual([])
  })

  it('reads no more than a bounded body of a stranger, however it is sent', async () => {
    const headers = signed('whatever')
    let read = 0
    const endless = new ReadableStream({
      pull(controller) {
        read += 65_536
        controller.enqueue(new Uint8Array(65_536))
      }
    })
    const request = { method: 'POST', body: endless, headers, duplex: 'half' } as RequestInit
    expect((await POST(new Request('http://127.0.0.1:3000/', request))).status).toBe(413)
    expect(read).toBeLessThan(1_000_000)
    expect((await post('x'.repeat(300_000), headers)).status).toBe(413)
    expect((await post('{}', { ...headers, 'x-pusher-signature': 'no' })).status).toBe(403)
  })

  it('answers 400 for a body that is no JSON', async () => {
    expect((await post('{', signed('{'))).status).toBe(400)
  })
})
