import { describe, expect, it } from 'vitest'
import { pool } from './db'
import { refusalStatus } from './pusher-server'

const errorOf = (sql: string) =>
  pool()
    .query(sql)
    .then(
      () => expect.fail('no error'),
      (error: unknown) => error
    )

describe('refusalStatus', () => {
  it.each([
    ["another user's channel", "SELECT presence.pusher_authorize_channel('ann', '1.2', 'private-user-ben')", 403],
    ['a value out of its limits', "SELECT presence.join_room('ann', 'no book')", 400],
    ['NULL', "SELECT presence.join_room(NULL, 'emma')", 400],
    ['a version that is too large', "SELECT presence.poll_room('ann', 'emma', '', '9999999999999999999')", 400],
    ['a grant that the app lacks', 'SELECT presence.sweep()', null],
    ['a mistake in the SQL', 'SELEC', null]
  ])('for %s', async (_, sql, status) => {
    expect(refusalStatus(await errorOf(sql))).toBe(status)
  })

  it('for what is no error of the database', () => {
    expect(refusalStatus(new TypeError('x'))).toBeNull()
  })
})
