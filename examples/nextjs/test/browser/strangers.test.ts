// Who is not signed in, what the server says of itself, and the pages around a room.

import { describe, expect, it } from 'vitest'
import { signUp, Tab } from './readers'
import { App, eventually, freePort } from './services'
import { ann, app, book, first, gateway, postgres, setUp } from './world'

setUp()

describe('a stranger', () => {
  it('finds headers that protect, and a policy that the page keeps', async () => {
    const { headers } = await fetch(`${app.origin}/dev/presence-test`)
    expect(headers.get('content-security-policy')).toContain(`connect-src 'self' ws://127.0.0.1:${gateway.port};`)
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('strict-origin-when-cross-origin')
    expect(headers.get('permissions-policy')).toContain('camera=()')

    const violations: string[] = []
    const tab = await Tab.open(await first.window(ann), app.origin, book)
    tab.page.on(
      'console',
      (message) => /Content.Security.Policy/i.test(message.text()) && violations.push(message.text())
    )
    await tab.page.reload()
    await tab.page.getByRole('button', { name: 'Join' }).click()
    await tab.sees('Real time')
    await tab.page.goto(`${app.origin}/no-such-page`)
    await tab.page.getByRole('link', { name: 'To the books' }).click()
    await tab.page.getByRole('button', { name: 'Join' }).waitFor()
    expect(violations).toEqual([])
  })

  it('finds no test page, no sign-up and no way in, unless the environment says so', async () => {
    const closed = new App(await freePort(), gateway.port, postgres, {
      SIGN_UP: '',
      QUICK_SIGN_UP: '',
      PRESENCE_TEST_PAGE: ''
    })
    await closed.start()
    try {
      expect((await fetch(`${closed.origin}/dev/presence-test`)).status).toBe(404)
      const page = await (await first.newContext()).newPage()
      await page.goto(`${closed.origin}/`)
      await page.getByRole('heading', { name: 'Sign in' }).waitFor()
      expect(await page.getByRole('button', { name: 'Create an account' }).count()).toBe(0)
      await expect(signUp(closed.origin, 'Eve')).rejects.toThrow('sign-up: 400')
    } finally {
      await closed.stop()
    }
  })

  it('is counted by his address only as the proxy in front tells it', async () => {
    const proxied = new App(await freePort(), gateway.port, postgres, { CLIENT_ADDRESS_HEADER: 'x-real-ip' })
    await proxied.start()
    try {
      let tries = 0
      const signIn = async (address: string) => {
        const response = await fetch(`${proxied.origin}/api/auth/sign-in/email`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            origin: proxied.origin,
            'x-real-ip': address,
            'x-forwarded-for': `192.0.2.${++tries}` // what he says himself
          },
          body: JSON.stringify({ email: `reader-${tries}@example.com`, password: 'correct horse' })
        })
        return response.status
      }
      const statuses: number[] = []
      for (let n = 0; n < 6; n++) statuses.push(await signIn('198.51.100.1'))
      expect(statuses[0]).toBe(401)
      expect(statuses).toContain(429)
      expect(await signIn('198.51.100.2')).toBe(401)
    } finally {
      await proxied.stop()
    }
  })

  it('a server with a wrong environment does not start, and says why', async () => {
    expect(
      await new App(await freePort(), 1, postgres, { PUSHER_KEY: '', BETTER_AUTH_SECRET: 'short' }).outputAtEnd()
    ).toMatch(/the environment is not right[\s\S]*BETTER_AUTH_SECRET/)
  })
})

describe('pages', () => {
  it('have titles, say what is not there, and keep the focus from book to book', async () => {
    const { page } = await Tab.open(await first.window(ann), app.origin, 'emma')
    expect(await page.title()).toBe('Emma · Presence test · Reading rooms')
    await page.getByRole('link', { name: 'Middlemarch' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Middlemarch' }).waitFor()
    await eventually('the title', async () => (await page.title()).startsWith('Middlemarch'))
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Middlemarch')
    await page.goto(`${app.origin}/books/emma`)
    expect(await page.title()).toBe('Emma by Jane Austen · Reading rooms')
    expect((await page.goto(`${app.origin}/books/no-such-book`))!.status()).toBe(404)
    await page.getByRole('heading', { name: 'There is nothing here' }).waitFor()
  })
})
