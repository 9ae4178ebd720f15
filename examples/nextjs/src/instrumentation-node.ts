// A wrong environment ends the server, with what is wrong.

import { env } from '@/lib/env'

try {
  env()
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}
