// What drizzle-kit does on the real database, as docs/orms.md has it: it makes the app's
// tables, and leaves the schema presence alone. It has a package.json of its own
// (test/drizzle), as this app is on Prisma.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asOwner, randomName } from './people'

const PROJECT = 'test/drizzle'
const database = randomName('drizzle').replace('-', '_')
const url = process.env.TEST_OWNER_URL!.replace(/\/reading\?/, `/${database}?`)
const out = mkdtempSync(join(tmpdir(), 'drizzle-'))

// What it said: its status is 0 whether it did what it should or not.
function drizzle(args: string[], env: Record<string, string> = {}): string {
  const { stdout, stderr } = spawnSync(process.execPath, ['node_modules/drizzle-kit/bin.cjs', ...args], {
    cwd: PROJECT,
    env: { ...process.env, OWNER_URL: url, DRIZZLE_OUT: relative(PROJECT, out), ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe']
  })
  return stdout + stderr
}

async function query(sql: string) {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

// All objects of the extension, and who is in a room.
const presenceNow = async () => ({
  objects: await query(
    "SELECT pg_describe_object(classid, objid, 0) AS name FROM pg_depend WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'presence') ORDER BY 1"
  ),
  members: await query('SELECT id, user_id, joined_at FROM presence.room_presence WHERE left_at IS NULL ORDER BY id')
})

// The SQL that the page says goes into a migration of one's own.
const handWritten = () =>
  readFileSync(process.env.TEST_DOCS ? `${process.env.TEST_DOCS}/orms.md` : '../../docs/orms.md', 'utf8').match(
    /One migration by hand[\s\S]*?```sql\n([\s\S]*?)```/
  )![1]!

beforeAll(async () => {
  if (!existsSync(`${PROJECT}/node_modules`))
    execFileSync('npm', ['ci', '--silent', '--ignore-scripts'], { cwd: PROJECT, stdio: 'inherit' })
  await asOwner(`CREATE DATABASE ${database}`)
}, 240_000)
afterAll(async () => {
  rmSync(out, { recursive: true })
  await asOwner(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
})

describe('drizzle-kit', { timeout: 300_000 }, () => {
  it('generate and migrate make tables, and presence by a migration of one’s own', async () => {
    drizzle(['generate', '--name=tables'])
    drizzle(['generate', '--custom', '--name=presence'])
    writeFileSync(`${out}/0001_presence.sql`, handWritten())
    expect(drizzle(['migrate'])).toContain('applied successfully')
    await query(`INSERT INTO "user" VALUES ('ann', 'Ann')`)
    await query("INSERT INTO book VALUES ('emma', 'Emma')")
    await query(
      "SELECT presence.join_room('ann', 'emma', ttl => '1 hour'), presence.join_room('ben', 'emma', ttl => '1 hour')"
    )
    await query(`DELETE FROM "user" WHERE id = 'ann'`)
    expect(await query("SELECT user_id FROM presence.room_members('emma')")).toEqual([{ user_id: 'ben' }])
  })

  it('generate finds nothing to migrate, migrate nothing to do', async () => {
    const before = await presenceNow()
    expect(before.members).toMatchObject([{ user_id: 'ben' }])
    expect(drizzle(['generate'])).toContain('nothing to migrate')
    expect(drizzle(['migrate'])).toContain('applied successfully')
    expect(readdirSync(out).filter((name) => name.endsWith('.sql'))).toHaveLength(2)
    expect(await presenceNow()).toEqual(before)
  })

  it('push leaves the schema presence alone, whether it has something to do or not', async () => {
    const before = await presenceNow()
    expect(drizzle(['push'])).toContain('No changes')
    expect(drizzle(['push'], { WITH_SUBTITLE: '1' })).toContain('Changes applied')
    expect(await query('SELECT subtitle FROM book')).toEqual([{ subtitle: null }])
    expect(await presenceNow()).toEqual(before)
    expect(drizzle(['push', '--force'])).toContain('Changes applied') // data loss: the column
    expect(await presenceNow()).toEqual(before)
  })

  it('pull brings the app’s tables, and none of presence', async () => {
    drizzle(['pull'])
    const pulled = readFileSync(`${out}/schema.ts`, 'utf8')
    expect([...pulled.matchAll(/pgTable\("(\w+)"/g)].map(([, name]) => name).sort()).toEqual(['book', 'user'])
    expect(pulled).not.toContain('presence')
  })

  it('push with presence in schemaFilter wants to drop it: the extension keeps its tables', async () => {
    const before = await presenceNow()
    const said = drizzle(['push', '--force', '--verbose'], { WITH_PRESENCE: '1' })
    expect(said).toContain('DROP TABLE "presence"."room_presence"')
    expect(said).toContain('extension presence requires it')
    expect(await presenceNow()).toEqual(before)
  })
})
