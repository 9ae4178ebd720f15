// Three kinds of tests. client: store, hook and components, in jsdom. server:
// routes and actions on a PostgreSQL with the extension. browser: the built app
// in Chromium. The last two get what they need from scripts/test.

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const alias = {
  '@': path('./src'),
  // Next.js resolves this one itself; elsewhere it throws.
  'server-only': path('./test/empty.ts')
}

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'client',
          environment: 'jsdom',
          include: ['src/**/*.test.{ts,tsx}'],
          exclude: ['src/actions/**', 'src/app/api/**', 'src/lib/*-server.test.ts']
        }
      },
      {
        resolve: { alias },
        test: {
          name: 'server',
          environment: 'node',
          include: ['src/{actions,app/api}/**/*.test.ts', 'src/lib/*-server.test.ts', 'test/server/**/*.test.ts'],
          setupFiles: ['test/server/setup.ts']
        }
      },
      {
        test: {
          name: 'browser',
          environment: 'node',
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 90_000,
          hookTimeout: 120_000,
          // One PostgreSQL and one gateway, which the tests stop and start.
          fileParallelism: false
        }
      }
    ]
  }
})
