// The prisma command: migrations as the owner of the database. The schema presence
// belongs to its extension: what is named here is neither created, changed nor dropped.

import { defineConfig } from 'prisma/config'

const tables = [
  'room_presence',
  'connection',
  'pusher_app',
  'event_secret',
  'channel_cache',
  'gateway',
  'gateway_channel',
  'room_shard'
]
const webhooks = ['pusher_webhook', 'webhook_event', 'webhook_channel']

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  // Not needed to generate the client.
  ...(process.env.OWNER_URL && { datasource: { url: process.env.OWNER_URL } }),
  experimental: { externalTables: true },
  tables: { external: [...tables, ...webhooks].map((name) => `presence.${name}`) }
})
