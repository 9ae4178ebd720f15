// The one pool of connections to PostgreSQL, as the role reading_app, and Prisma
// on it. Everything on the server queries through it. Nothing connects before the first query.

import 'server-only'
import { PrismaPg } from '@prisma/adapter-pg'
import { Pool } from 'pg'
import { PrismaClient } from '@/generated/prisma/client'

// `next dev` loads modules anew with each change; the pool must outlive that.
const kept = globalThis as typeof globalThis & { readingPool?: Pool; readingPrisma?: PrismaClient }

function createPool(): Pool {
  const created = new Pool({
    connectionString: process.env.DATABASE_URL,
    // A request must not hang when PostgreSQL does: clients poll again.
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000
  })
  // Without a listener, an idle connection that PostgreSQL ends (a restart) would end this process.
  created.on('error', (error) => console.warn('an idle connection to PostgreSQL was lost:', error.message))
  return created
}

export const pool = (kept.readingPool ??= createPool())
export const prisma = (kept.readingPrisma ??= new PrismaClient({ adapter: new PrismaPg(pool) }))
