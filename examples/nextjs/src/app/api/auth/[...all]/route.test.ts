import { describe, expect, it } from 'vitest'
import { asOwner, randomName, signUp } from '../../../../../test/server/people'
import { POST } from './route'

const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  POST(
    new Request(`http://127.0.0.1:3000/api/auth/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'http://127.0.0.1:3000', ...headers },
      body: JSON.stringify(body)
    })
  )

const emailOf = async (name: string) => {
  const { id } = await signUp(name)
  return (await asOwner('SELECT email FROM "user" WHERE id = $1', [id]))[0].email as string
}

describe('POST /api/auth', () => {
  it('signs in, and out', async () => {
    const response = await post('sign-in/email', { email: await emailOf('Ann'), password: 'correct horse' })
    expect(response.status).toBe(200)
    const cookie = response.headers.getSetCookie().map((line) => line.split(';')[0])
    expect((await post('sign-out', {}, { cookie: cookie.join('; ') })).status).toBe(200)
  })

  it('answers 429 to who guesses at an account, whatever address and spelling he claims; others sign in', async () => {
    const [ann, ben] = [await emailOf('Ann'), await emailOf('Ben')]
    const statuses = []
    for (let tries = 0; tries < 12; tries++) {
      const email = tries % 2 ? ann : ann.toUpperCase()
      const forged = { 'x-forwarded-for': `192.0.2.${tries}`, 'x-real-ip': `192.0.2.${tries}` }
      statuses.push((await post('sign-in/email', { email, password: `guess number ${tries}` }, forged)).status)
    }
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429])
    expect((await post('sign-in/email', { email: ann, password: 'correct horse' })).status).toBe(429)
    expect((await post('sign-in/email', { email: ben, password: 'correct horse' })).status).toBe(200)
  })

  it('keeps no address that anybody may have made up', async () => {
    const response = await post(
      'sign-in/email',
      { email: await emailOf('Cleo'), password: 'correct horse' },
      { 'x-forwarded-for': '192.0.2.1' }
    )
    const { user } = await response.json()
    const kept = await asOwner('SELECT DISTINCT "ipAddress" AS address FROM "session" WHERE "userId" = $1', [user.id])
    expect(kept.map(({ address }) => address || null)).toEqual([null])
  })

  it('answers 413 to a body that is too large, and reads no more of it', async () => {
    let read = 0
    const endless = new ReadableStream({
      pull: (controller) => {
        read += 4_096
        controller.enqueue(new Uint8Array(4_096).fill(32))
      }
    })
    const options = { method: 'POST', body: endless, duplex: 'half' }
    const response = await POST(new Request('http://127.0.0.1:3000/api/auth/sign-in/email', options as RequestInit))
    expect(response.status).toBe(413)
    expect(read).toBeLessThan(40_000)
  })

  it('answers 429 when strangers make accounts by the hundred', async () => {
    const statuses = new Set<number>()
    // Too short a password: no account, and no time for its hash.
    for (let tries = 0; tries < 130; tries++) {
      const account = { name: 'Bot', email: `${randomName('bot')}@example.com`, password: 'x' }
      statuses.add((await post('sign-up/email', account, { 'x-forwarded-for': `192.0.2.${tries}` })).status)
    }
    expect(statuses).toEqual(new Set([400, 429]))
  })
})
