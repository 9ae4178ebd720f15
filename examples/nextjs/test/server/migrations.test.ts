// What the prisma command does on the real database: it makes what the app needs,
// and leaves the schema presence alone.

import { execFileSync } from 'node:child_process'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asOwner, randomName } from './people'

const database = randomName('prisma').replace('-', '_')
const url = process.env.TEST_OWNER_URL!.replace(/\/reading\?/, `/${database}?`)

function prisma(...args: string[]): string {
  return execFileSync(process.execPath, ['scripts/prisma.mjs', ...args], {
    env: { ...process.env, OWNER_URL: url },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe']
  })
}

async function query(sql: string, values: unknown[] = []) {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql, values)).rows
  } finally {
    await client.end()
  }
}

// All objects of the schema presence, and who is in a room.
const presenceNow = async () => ({
  objects: await query(
    "SELECT objid::regclass::text AS name FROM pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass ORDER BY 1"
  ),
  members: await query('SELECT user_id, joined_at FROM presence.room_presence ORDER BY id')
})

beforeAll(() => asOwner(`CREATE DATABASE ${database}`))
afterAll(() => asOwner(`DROP DATABASE ${database} WITH (FORCE)`))

describe('prisma', { timeout: 300_000 }, () => {
  it('migrate deploy makes tables, extension and triggers; again, it changes nothing', async () => {
    expect(prisma('migrate', 'deploy')).toContain('successfully applied')
    expect(prisma('migrate', 'deploy')).toContain('No pending migrations')
    await query(`INSERT INTO "user" VALUES ('ann', 'Ann', 'ann@example.com', true)`)
    await query("INSERT INTO book VALUES ('emma', 'Emma', 'Jane Austen')")
    await query("SELECT presence.join_room('ann', 'emma'), presence.join_room('ben', 'emma')")
    await query(`DELETE FROM "user" WHERE id = 'ann'`)
    expect(await query("SELECT user_id FROM presence.room_members('emma')")).toEqual([{ user_id: 'ben' }])
  })

  it('finds no difference: between models and database, models and migrations', () => {
    const schema = ['--to-schema', 'prisma/schema.prisma', '--exit-code']
    expect(prisma('migrate', 'diff', '--from-config-datasource', ...schema)).toContain('No difference')
    expect(prisma('migrate', 'diff', '--from-migrations', 'prisma/migrations', ...schema)).toContain('No difference')
  })

  it('db push leaves the schema presence alone', async () => {
    const before = await presenceNow()
    expect(before.members).toMatchObject([{ user_id: 'ben' }])
    expect(prisma('db', 'push')).toContain('already in sync')
    expect(await presenceNow()).toEqual(before)
    prisma('db', 'push', '--accept-data-loss')
    expect(await presenceNow()).toEqual(before)
  })

  it('migrate reset makes an app that works again', async () => {
    prisma('migrate', 'reset', '--force')
    expect(await query("SELECT has_schema_privilege('reading_app', 'public', 'USAGE') AS usage")).toEqual([
      { usage: true }
    ])
    await query("SELECT presence.join_room('ann', 'emma')")
  })

  it('leaves no shadow database behind', async () => {
    expect(await asOwner("SELECT datname FROM pg_database WHERE datname LIKE 'prisma_migrate_shadow%'")).toEqual([])
  })
})

it('the model has every column of presence.room_presence', async () => {
  const { RoomPresenceScalarFieldEnum: fields } = await import('@/generated/prisma/internal/prismaNamespace')
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const columns = await asOwner(
    "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'presence.room_presence'::regclass AND attnum > 0 AND NOT attisdropped"
  )
  expect(columns.map(({ name }) => name).sort()).toEqual(Object.keys(fields).map(snake).sort())
})
