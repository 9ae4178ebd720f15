// Three kinds of tests. client: store, hook and components, in jsdom. server:
// routes, actions, migrations and typed calls, on a PostgreSQL with the extension.
// browser: the built app in Chromium. The last two get what they need from scripts/test.

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const alias = {
  '@': path('./src'),
  // Next.js resolves this one itself; elsewhere it throws.
  'server-only': path('./test/empty.ts')
}

const SERVER = [
  'src/actions/**/*.test.ts',
  'src/app/api/**/*.test.ts',
  'src/proxy.test.ts',
  'src/lib/{env,presence,security,users}.test.ts',
  'test/server/**/*.test.ts'
]

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'client',
          environment: 'jsdom',
          maxWorkers: 2,
          include: ['src/**/*.test.{ts,tsx}'],
          exclude: SERVER
        }
      },
      {
        resolve: { alias },
        test: {
          name: 'server',
          environment: 'node',
          include: SERVER,
          setupFiles: ['test/server/setup.ts'],
          testTimeout: 60_000,
          maxWorkers: 3, // they wait for leases
          env: {
            DATABASE_URL: process.env.TEST_DATABASE_URL ?? '',
            BETTER_AUTH_SECRET: 'a secret of the tests, with 32 characters',
            BETTER_AUTH_URL: 'http://127.0.0.1:3000',
            PUSHER_APP_ID: '1',
            PUSHER_KEY: 'reading-key',
            PUSHER_HOST: '127.0.0.1',
            PUSHER_PORT: '6001',
            AVATAR_HOSTS: 'avatars.example.com',
            SIGN_UP: 'true'
          }
        }
      },
      {
        test: {
          name: 'browser',
          environment: 'node',
          include: ['test/browser/**/*.test.ts'],
          // They poll for what they wait for; a slow machine needs longer.
          testTimeout: 120_000,
          hookTimeout: 240_000,
          // Mostly they wait, for leases and for time limits: so three files at once, on two cores.
          maxWorkers: 3
        }
      }
    ]
  }
})
