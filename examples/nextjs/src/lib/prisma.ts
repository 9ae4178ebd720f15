// The one pool of connections to PostgreSQL, as the role reading_app, and Prisma
// on it. Everything on the server queries through it. Nothing connects before the first query.

import 'server-only'
import { PrismaPg } from '@prisma/adapter-pg'
import { Pool } from 'pg'
import { PrismaClient } from '@/generated/prisma/client'

// `next dev` loads modules anew with each change; the pool must outlive that.
const kept = globalThis as typeof globalThis & { readingPool?: Pool; readingPrisma?: PrismaClient }

// A request must not hang when PostgreSQL does: clients poll again.
const CONNECT_TIMEOUT = 5_000
const QUERY_TIMEOUT = 10_000

function createPool(): Pool {
  const created = new Pool({
    connectionString: process.env.DATABASE_URL,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    query_timeout: QUERY_TIMEOUT
  })
  // Without a listener, an idle connection that PostgreSQL ends (a restart) would end this process.
  created.on('error', (error) => console.warn('an idle connection to PostgreSQL was lost:', error.message))
  return created
}

export const pool = (kept.readingPool ??= createPool())
// A transaction has as long as the pool: by Prisma's own limits, of 2 and 5 seconds, the goodbye of
// a page would be lost on a machine that is busy, and nobody says it twice.
export const prisma = (kept.readingPrisma ??= new PrismaClient({
  adapter: new PrismaPg(pool),
  transactionOptions: { maxWait: CONNECT_TIMEOUT, timeout: QUERY_TIMEOUT }
}))
