// Accounts and sessions: better-auth on the app's own tables (prisma/schema.prisma).

import 'server-only'
import { betterAuth } from 'better-auth'
import { APIError, createAuthMiddleware } from 'better-auth/api'
import { admin } from 'better-auth/plugins'
import { env } from './env'
import { pool } from './prisma'
import { isWithinLimit } from './rate-limit'
import { endPresence, endSession } from './users'

const limitStrangers = createAuthMiddleware(async ({ path, body }) => {
  const within =
    path === '/sign-in/email'
      ? await isWithinLimit('signIn', String(body?.email).toLowerCase())
      : path !== '/sign-up/email' || (await isWithinLimit('signUp', 'strangers'))
  if (!within) throw new APIError('TOO_MANY_REQUESTS', { message: 'Too many tries. Wait a minute.' })
})

function createAuth() {
  const { BETTER_AUTH_URL, BETTER_AUTH_SECRET, SIGN_UP, QUICK_SIGN_UP, ADMIN_USER_IDS, CLIENT_ADDRESS_HEADER } = env()
  return betterAuth({
    appName: 'Reading rooms',
    baseURL: BETTER_AUTH_URL,
    secret: BETTER_AUTH_SECRET,
    database: pool,
    emailAndPassword: { enabled: true, disableSignUp: !SIGN_UP && !QUICK_SIGN_UP },
    // Ends in 7 days, but is renewed each day that it is used.
    session: { expiresIn: 7 * 86_400, updateAge: 86_400 },
    plugins: [admin({ adminUserIds: ADMIN_USER_IDS })],
    telemetry: { enabled: false },
    // Whoever sends X-Forwarded-For says what he likes: an address counts only as the proxy in
    // front tells it, in a header of its own. Without one there are the limits below, and no others.
    advanced: {
      ipAddress: CLIENT_ADDRESS_HEADER ? { ipAddressHeaders: [CLIENT_ADDRESS_HEADER] } : { disableIpTracking: true }
    },
    hooks: { before: limitStrangers },
    databaseHooks: {
      // However it ends: signed out here or elsewhere, revoked, banned.
      session: { delete: { after: ({ userId }) => endSession(userId) } },
      user: {
        update: {
          after: async (user) => {
            if (user.banned && user.id) await endPresence(user.id)
          }
        }
      }
    }
  })
}

let created: ReturnType<typeof createAuth> | undefined

export function auth() {
  return (created ??= createAuth())
}
