// Accounts and sessions: better-auth on the app's own tables (db/schema.sql).

import 'server-only'
import { betterAuth } from 'better-auth'
import { pool } from './db'
import { env } from './env'

function createAuth() {
  return betterAuth({
    appName: 'Reading rooms',
    baseURL: env().BETTER_AUTH_URL,
    secret: env().BETTER_AUTH_SECRET,
    database: pool(),
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false }
  })
}

let created: ReturnType<typeof createAuth> | undefined

export function auth() {
  return (created ??= createAuth())
}
