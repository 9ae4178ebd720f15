// The server's settings, from its environment, checked once. Read when they are
// first needed, not when a module is loaded: `next build` has no database.

import 'server-only'
import { z } from 'zod'

const flag = z.stringbool().default(false)

const schema = z
  .object({
    DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
    BETTER_AUTH_SECRET: z.string().min(32),
    BETTER_AUTH_URL: z.url({ protocol: /^https?$/ }),
    PUSHER_KEY: z.string().min(1),
    // Either a gateway of one's own ...
    PUSHER_HOST: z.string().min(1).optional(),
    PUSHER_PORT: z.coerce.number().int().min(1).max(65535).optional(),
    PUSHER_TLS: flag,
    // ... or a Pusher account.
    PUSHER_CLUSTER: z.string().min(1).optional(),
    // Offers accounts without e-mail and password: for demos.
    QUICK_SIGN_UP: flag
  })
  .refine((env) => Boolean(env.PUSHER_HOST) !== Boolean(env.PUSHER_CLUSTER), {
    error: 'set PUSHER_HOST, for a gateway, or PUSHER_CLUSTER, for a Pusher account, and not both'
  })

export type Env = z.infer<typeof schema>

let checked: Env | undefined

export function env(): Env {
  if (checked) return checked
  // An empty value, as in a copied .env file, is none.
  const set = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ''))
  const result = schema.safeParse(set)
  if (!result.success) throw new Error(`the environment is not right:\n${z.prettifyError(result.error)}`)
  return (checked = result.data)
}
