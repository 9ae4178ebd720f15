// The one pool of connections to PostgreSQL, as the role reading_app. Everything
// on the server queries through it: better-auth, the actions, the routes.

import 'server-only'
import { Pool } from 'pg'
import { env } from './env'

// `next dev` loads modules anew with each change; the pool must outlive that.
const kept = globalThis as typeof globalThis & { readingPool?: Pool }

export function pool(): Pool {
  return (kept.readingPool ??= createPool())
}

function createPool(): Pool {
  const created = new Pool({
    connectionString: env().DATABASE_URL,
    // A request must not hang when PostgreSQL does: clients poll again.
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000
  })
  // Without a listener, an idle connection that PostgreSQL ends (a restart) would end this process.
  created.on('error', (error) => console.warn('an idle connection to PostgreSQL was lost:', error.message))
  return created
}
