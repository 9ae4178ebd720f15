// The server's settings, from its environment, checked once: by instrumentation.ts
// when the server starts. `next build` needs none.

import 'server-only'
import { z } from 'zod'

const flag = z.stringbool().default(false)
const list = z
  .string()
  .default('')
  .transform((text) => text.split(/[\s,]+/).filter(Boolean))

const schema = z
  .object({
    DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
    BETTER_AUTH_SECRET: z.string().min(32),
    BETTER_AUTH_URL: z.url({ protocol: /^https?$/ }),
    PUSHER_KEY: z.string().min(1),
    PUSHER_APP_ID: z.string().min(1),
    // Either a gateway of one's own ...
    PUSHER_HOST: z.string().min(1).optional(),
    PUSHER_PORT: z.coerce.number().int().min(1).max(65535).optional(),
    PUSHER_TLS: flag,
    // ... or a Pusher account.
    PUSHER_CLUSTER: z.string().min(1).optional(),
    // Where this server reaches the HTTP API, if that is elsewhere than browsers do.
    PUSHER_API_URL: z.url({ protocol: /^https?$/ }).optional(),
    // Whose pictures are shown, by host name: avatars.example.com.
    AVATAR_HOSTS: list.pipe(z.array(z.string().regex(/^[a-z0-9.-]+$/))),
    // The header in which the proxy in front names the client, whatever the client sent: x-real-ip.
    CLIENT_ADDRESS_HEADER: z
      .string()
      .regex(/^[a-z0-9-]+$/i)
      .optional(),
    // Who may ban readers, by user id.
    ADMIN_USER_IDS: list,
    // Whether strangers may make accounts; and by name alone, for demos.
    SIGN_UP: flag,
    QUICK_SIGN_UP: flag,
    // Whether /dev/presence-test is there in production.
    PRESENCE_TEST_PAGE: flag
  })
  .refine((env) => Boolean(env.PUSHER_HOST) !== Boolean(env.PUSHER_CLUSTER), {
    error: 'set PUSHER_HOST, for a gateway, or PUSHER_CLUSTER, for a Pusher account, and not both'
  })

export type Env = z.infer<typeof schema>

let checked: Env | undefined

export function env(): Env {
  return (checked ??= readEnv(process.env))
}

export function readEnv(variables: Record<string, string | undefined>): Env {
  // An empty value, as in a copied .env file, is none.
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  const result = schema.safeParse(set)
  if (!result.success) throw new Error(`the environment is not right:\n${z.prettifyError(result.error)}`)
  return result.data
}
