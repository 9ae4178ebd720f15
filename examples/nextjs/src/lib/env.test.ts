import { describe, expect, it } from 'vitest'
import { readEnv } from './env'

const right = {
  DATABASE_URL: 'postgresql://reading_app@localhost/reading',
  BETTER_AUTH_SECRET: 'a secret of the tests, with 32 characters',
  BETTER_AUTH_URL: 'http://localhost:3000',
  PUSHER_APP_ID: '1',
  PUSHER_KEY: 'key',
  PUSHER_HOST: 'localhost',
  PUSHER_PORT: '6001'
}

describe('readEnv', () => {
  it('reads what is there; an empty value is none', () => {
    expect(
      readEnv({ ...right, PUSHER_CLUSTER: '', AVATAR_HOSTS: 'a.example.com, b.example.com', SIGN_UP: 'true' })
    ).toMatchObject({
      PUSHER_PORT: 6001,
      PUSHER_TLS: false,
      AVATAR_HOSTS: ['a.example.com', 'b.example.com'],
      SIGN_UP: true
    })
  })

  it('lets nobody sign up, shows no pictures and no test page, if nothing says so', () => {
    expect(readEnv(right)).toMatchObject({
      SIGN_UP: false,
      QUICK_SIGN_UP: false,
      PRESENCE_TEST_PAGE: false,
      AVATAR_HOSTS: [],
      ADMIN_USER_IDS: []
    })
  })

  it.each([
    ['a secret that is too short', { BETTER_AUTH_SECRET: 'short' }, 'BETTER_AUTH_SECRET'],
    ['no database', { DATABASE_URL: undefined }, 'DATABASE_URL'],
    ['a gateway and a Pusher account', { PUSHER_CLUSTER: 'eu' }, 'PUSHER_CLUSTER'],
    ['neither', { PUSHER_HOST: undefined }, 'PUSHER_CLUSTER'],
    ['a host of pictures that is a URL', { AVATAR_HOSTS: 'https://a.example.com/' }, 'AVATAR_HOSTS']
  ])('refuses %s', (_, wrong, name) => {
    expect(() => readEnv({ ...right, ...wrong })).toThrow(name)
  })
})
