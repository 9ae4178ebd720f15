// Around each file of server tests. The environment that the app reads is in vitest.config.ts.

import { afterAll } from 'vitest'
import { pool } from '@/lib/prisma'
import { deleteBooks } from './people'

if (!process.env.DATABASE_URL) throw new Error('TEST_DATABASE_URL is not set: run scripts/test')

afterAll(async () => {
  await deleteBooks()
  await pool.end()
})
