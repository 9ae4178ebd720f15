// docs/orms.md: what it says of Drizzle and pg, with the real ones. Prisma's part is
// src/lib/presence.test.ts and migrations.test.ts.

import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { expect, it } from 'vitest'
import { pool } from '@/lib/prisma'
import { sqlError } from '@/lib/sql-state'
import { membersOf, randomName } from './people'

const db = drizzle(pool)

type Room = { version: string; joined: boolean; members: unknown[] | null }

async function pollRoom(userId: string, bookId: string, tab: string, known: string | null) {
  const { rows } = await db.execute<Room>(sql`
    SELECT version, joined, members FROM presence.poll_room(${userId}, ${bookId}, ${tab}, ${known})`)
  return rows[0]!
}

it('Drizzle: values come as the page says', async () => {
  const room = randomName('r')
  const { rows } = await db.execute<{ id: unknown; joined_at: unknown }>(sql`
    SELECT * FROM presence.join_room(${'ann'}, ${room}, ${'tab'}, ${JSON.stringify({ name: 'Ann' })}::jsonb)`)
  expect(rows[0]).toMatchObject({ id: expect.any(String), joined_at: expect.any(String), user_info: { name: 'Ann' } })
  const first = await pollRoom('ann', room, 'tab', null)
  expect(first).toMatchObject({ version: expect.any(String), joined: true, members: [{ user_id: 'ann' }] })
  expect(await pollRoom('ann', room, 'tab', first.version)).toMatchObject({ members: null })
})

it('Drizzle: a join in a transaction, or not at all; errors are wrapped', async () => {
  const room = randomName('r')
  const fails = db.transaction(async (tx) => {
    await tx.execute(sql`SELECT FROM presence.join_room(${'ann'}, ${room})`)
    throw new Error('something else')
  })
  await expect(fails).rejects.toThrow('something else')
  expect(await membersOf(room)).toEqual([])
  const error = await db.execute(sql`SELECT FROM presence.join_room('ann', 'no book')`).catch((error: Error) => error)
  expect(sqlError((error as Error).cause)).toMatchObject({ code: '22023' })
})

it('pg: values come as the page says', async () => {
  const { rows } = await pool.query('SELECT * FROM presence.join_room($1, $2, $3, $4)', [
    'ann',
    randomName('r'),
    'tab',
    { name: 'Ann' }
  ])
  expect(rows[0]).toMatchObject({ id: expect.any(String), joined_at: expect.any(Date), user_info: { name: 'Ann' } })
})
