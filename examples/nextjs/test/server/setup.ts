// Before each file of server tests: the environment that the app reads.

import { afterAll } from 'vitest'
import { pool } from '@/lib/db'
import { deleteBooks } from './people'

const url = process.env.TEST_DATABASE_URL
if (!url) throw new Error('TEST_DATABASE_URL is not set: run scripts/test')

Object.assign(process.env, {
  DATABASE_URL: url,
  BETTER_AUTH_SECRET: 'a secret of the tests, with 32 characters',
  BETTER_AUTH_URL: 'http://127.0.0.1:3000',
  PUSHER_KEY: 'reading-key',
  PUSHER_HOST: '127.0.0.1',
  PUSHER_PORT: '6001'
})

afterAll(async () => {
  await deleteBooks()
  await pool().end()
})
