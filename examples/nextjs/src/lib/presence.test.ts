// Every typed call, on the real database; what the role may not do; what errors mean.

import { PrismaPg } from '@prisma/adapter-pg'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { asOwner, newBook, randomName, signUp } from '../../test/server/people'
import { PrismaClient } from '@/generated/prisma/client'
import { presence, presenceOn } from './presence'
import { prisma } from './prisma'
import { refusalStatus, sqlError } from './sql-state'

const owner = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.TEST_OWNER_URL! }) })
const upkeep = presenceOn(owner)

afterAll(() => owner.$disconnect())

describe('a room', () => {
  it('is joined, read, polled, touched and left', async () => {
    const [user, room] = [randomName('u'), randomName('r')]
    const joined = await presence.joinRoom(user, room, { connectionId: 'a', userInfo: { name: 'Ann' }, isAuthor: true })
    expect(joined).toEqual({
      id: expect.stringMatching(/^\d+$/),
      userId: user,
      bookId: room,
      joinedAt: expect.any(Date),
      lastActiveAt: expect.any(Date),
      isAuthor: true,
      userInfo: { name: 'Ann' },
      connection: expect.stringMatching(/^\d+$/),
      added: true
    })
    expect(await presence.roomMembers(room)).toEqual([
      {
        userId: user,
        userInfo: { name: 'Ann' },
        isAuthor: true,
        joinedAt: joined.joinedAt,
        lastActiveAt: expect.any(Date),
        connections: 1
      }
    ])
    expect(await presence.memberCount(room)).toBe(1)
    expect(await presence.userRooms(user)).toMatchObject([{ bookId: room, joinedAt: joined.joinedAt, isAuthor: true }])
    expect(await presence.touchRoom(user, room, 'a')).toBe(true)
    expect(await presence.touchRoom(user, room, 'b')).toBe(false)
    const polled = await presence.pollRoom(user, room, 'a')
    expect(polled).toMatchObject({ joined: true, members: [{ user_id: user }] })
    expect(await presence.pollRoom(user, room, 'a', polled.version)).toEqual({ ...polled, members: null })
    expect(await presence.leaveRoom(user, room, 'b')).toBe(false)
    expect(await presence.leaveRoom(user, room)).toBe(true)
  })

  it('is joined with what else belongs to it, or not at all', async () => {
    const room = randomName('r')
    const fails = prisma.$transaction(async (tx) => {
      await presenceOn(tx).joinRoom('ann', room)
      throw new Error('something else went wrong')
    })
    await expect(fails).rejects.toThrow('something else')
    expect(await presence.memberCount(room)).toBe(0)
  })

  it('has a capacity, if one is given: newcomers are refused, members are not', async () => {
    const room = randomName('r')
    await presence.joinRoom('ann', room, { capacity: 1 })
    const error = await presence.joinRoom('ben', room, { capacity: 1 }).catch((error: unknown) => error)
    expect(sqlError(error)).toMatchObject({ code: '53400' })
    expect(await presence.joinRoom('ann', room, { connectionId: 'another tab', capacity: 1 })).toMatchObject({
      added: false
    })
  })

  it('tells who polls what has changed', async () => {
    const room = randomName('r')
    await presence.joinRoom('ann', room)
    const { version, members } = await presence.pollRoomChanges('ann', room)
    expect(members).toHaveLength(1)
    await presence.joinRoom('ben', room)
    expect(await presence.pollRoomChanges('ann', room, '', version)).toMatchObject({
      members: null,
      added: [{ user_id: 'ben' }]
    })
    expect(await presence.largestRooms(1000)).toContainEqual({ bookId: room, members: 2 })
  })

  it('is found by its readers', async () => {
    const [user, absent, room] = [randomName('u'), randomName('u'), randomName('r')]
    const { joinedAt } = await presence.joinRoom(user, room)
    expect(await presence.onlineUsers([user, absent])).toEqual([
      { userId: user, bookIds: [room], since: joinedAt, lastActiveAt: expect.any(Date) }
    ])
    await presence.leaveRoom(user, room)
    expect(await presence.onlineUsers([user])).toEqual([])
    expect(await presence.lastSeen([user, absent])).toEqual([
      { userId: user, lastSeenAt: expect.any(Date), bookId: room, online: false }
    ])
  })

  it('has a past', async () => {
    const [user, room] = [randomName('u'), randomName('r')]
    const { joinedAt } = await presence.joinRoom(user, room, { ttl: '1 minute' })
    const at = new Date(joinedAt.getTime() + 1)
    expect(await presence.membersAt(room, at)).toMatchObject([{ userId: user, leftAt: null }])
    expect(await presence.peakMembers(room, new Date(joinedAt.getTime() - 60_000))).toMatchObject({ members: 1 })
    await presence.leaveRoom(user, room)
    expect(await presence.timeInRoom(user, room)).toBeGreaterThan(0)
    expect(await presence.timeInRoom(user, room, new Date(), new Date())).toBe(0)
    const hourAgo = new Date(joinedAt.getTime() - 3_600_000)
    expect(await presence.averageStay(room)).toMatchObject({ stays: 1, users: 1, median: expect.any(Number) })
    expect((await presence.peakMembersByDay(room, hourAgo)).map(({ members }) => members)).toContain(1)
    const hours = await presence.busiestHours(room, hourAgo)
    expect(hours.reduce((joins, hour) => joins + hour.joins, 0)).toBe(1)
  })
})

it('many at once', async () => {
  const room = randomName('r')
  const joins = ['a', 'b'].map((id) => ({ userId: id, bookId: room, connectionId: 'x', userInfo: { name: id } }))
  const joined = await upkeep.joinRooms(joins, { ttl: '1 minute' })
  expect(joined).toMatchObject([
    { userId: 'a', userInfo: { name: 'a' } },
    { userId: 'b', added: true }
  ])
  // A second tab, as Pusher has it: the first one's name stays.
  const second = [{ userId: 'a', bookId: room, connectionId: 'y', userInfo: { name: 'other' }, isAuthor: true }]
  expect(await upkeep.joinRooms(second, { skipLocked: true, keepInfo: true })).toMatchObject([
    { userInfo: { name: 'a' }, isAuthor: false, added: false }
  ])
  await upkeep.leaveRoom('a', room, 'y')
  const handles = joined.map(({ connection }) => connection!)
  expect(await upkeep.touch([...handles, '1'])).toEqual(['1'])
  expect(await upkeep.dropConnections(handles)).toBe(2)
})

it("Pusher's signatures", async () => {
  const sign = (text: string) => createHmac('sha256', 'reading-secret').update(text).digest('hex')
  expect(await presence.pusherAuthSignature('1.2', 'private-x', null, 'reading-key')).toBe(
    `reading-key:${sign('1.2:private-x')}`
  )
  const answer = JSON.parse(await presence.pusherAuthorizeChannel('ann', '1.2', 'presence-room-x', { name: 'Ann' }))
  expect(answer.auth).toBe(`reading-key:${sign(`1.2:presence-room-x:${answer.channel_data}`)}`)
  expect(JSON.parse(await presence.pusherAuthenticateUser('ann', '1.2'))).toHaveProperty('user_data')
  const secret = await presence.pusherSharedSecret('private-encrypted-x').catch((error: unknown) => error)
  expect(sqlError(secret)).toMatchObject({ code: '55000' }) // this app has no master key
  expect(await presence.pusherSignRequest('POST', '/apps/1/events', '{}')).toMatch(/auth_signature=[0-9a-f]{64}/)
  const body = '{"time_ms":1,"events":[]}'
  expect(await presence.pusherVerifyWebhook('reading-key', sign(body), body)).toBe(true)
  expect(await presence.pusherVerifyWebhook('reading-key', sign(body), '{}')).toBe(false)
  expect(await presence.pusherApplyWebhook('reading-key', sign(body), body)).toBe(0)
})

it('a cluster of one', async () => {
  expect(await presence.isSharded()).toBe(false)
  expect(await presence.roomNode('moby-dick')).toEqual({ host: null, port: null })
  expect(await presence.shards()).toEqual([])
  expect(await presence.onAllNodes('SELECT 1 AS n')).toEqual([{ host: null, port: null, row: { n: 1 } }])
})

it('upkeep', async () => {
  const [user, room] = [randomName('u'), randomName('r')]
  await upkeep.joinRoom(user, room)
  expect(await upkeep.forgetUser(user)).toBe('1')
  await upkeep.joinRoom(user, room)
  expect(await upkeep.forgetBook(room)).toBe('1')
  expect(await upkeep.purgeHistory('100 years')).toBe('0')
  expect(await upkeep.sweep()).toBeGreaterThanOrEqual(0)
})

it('each function that the role of the app may call has a typed call', async () => {
  const functions = await prisma.$queryRaw<{ name: string }[]>`
    SELECT DISTINCT proname::text AS name FROM pg_proc
    WHERE pronamespace = 'presence'::regnamespace AND prorettype <> 'trigger'::regtype
      AND has_function_privilege(oid, 'EXECUTE') AND proname <> 'query_as_json'` // on_all_nodes calls it
  const typed = readFileSync('src/lib/presence.ts', 'utf8')
  expect(functions.length).toBeGreaterThan(15)
  expect(functions.filter(({ name }) => !typed.includes(`presence.${name}(`))).toEqual([])
})

describe('the model RoomPresence', () => {
  it('reads the history, with user and book', async () => {
    const mara = await signUp('Mara')
    const book = await newBook(mara.id)
    const { id } = await presence.joinRoom(mara.id, book, { isAuthor: true })
    await presence.leaveRoom(mara.id, book)
    const found = await prisma.roomPresence.findMany({
      where: { user: { name: 'Mara' }, bookId: book },
      include: { user: { select: { name: true } }, book: { select: { title: true, authorId: true } } }
    })
    expect(found).toMatchObject([
      {
        id: BigInt(id),
        leaveReason: 'left',
        leftAt: expect.any(Date),
        user: { name: 'Mara' },
        book: { title: 'A Book', authorId: mara.id }
      }
    ])
    expect(await prisma.user.findUnique({ where: { id: mara.id }, include: { presences: true } })).toMatchObject({
      presences: [{ bookId: book }]
    })
  })

  it('writes nothing', async () => {
    const now = new Date()
    const forged = { userId: 'eve', bookId: 'emma', joinedAt: now, lastActiveAt: now, isAuthor: true }
    await expect(prisma.roomPresence.create({ data: forged })).rejects.toThrow(/denied/)
    await expect(prisma.roomPresence.updateMany({ data: { isAuthor: true } })).rejects.toThrow(/denied/)
    await expect(prisma.roomPresence.deleteMany()).rejects.toThrow(/denied/)
  })
})

describe('an error', () => {
  const errorOf = (run: Promise<unknown>) =>
    run.then(
      () => expect.fail('no error'),
      (error: unknown) => error
    )

  it.each([
    ["another user's channel", () => presence.pusherAuthorizeChannel('ann', '1.2', 'private-user-ben'), 403],
    ['a value out of its limits', () => presence.joinRoom('ann', 'no book'), 400],
    ['NULL', () => presence.joinRoom(null as never, 'emma'), 400],
    ['a version that is too large', () => presence.pollRoom('ann', 'emma', '', '9999999999999999999'), 400],
    ['a grant that the app lacks', () => presence.sweep(), null],
    ['a mistake in the SQL', () => prisma.$queryRaw`SELEC`, null]
  ])('of %s', async (_, run, status) => {
    expect(refusalStatus(await errorOf(run()))).toBe(status)
  })

  it('has its SQLSTATE through every layer', async () => {
    const { pool } = await import('./prisma')
    const plain = await errorOf(pool.query("SELECT presence.join_room('ann', 'no book')"))
    const typed = await errorOf(presence.joinRoom('ann', 'no book'))
    expect(sqlError(typed)).toEqual(sqlError(plain))
    expect(sqlError(typed)).toMatchObject({ code: '22023', message: expect.stringContaining('no book') })
    expect(refusalStatus(new TypeError('x'))).toBeNull()
  })

  it('of a name that is no plain one changes nothing: values are parameters', async () => {
    const odd = `'; DROP TABLE book; --`
    await presence.joinRoom(odd, 'emma')
    expect(
      (await asOwner('SELECT user_id FROM presence.room_members($1)', ['emma'])).map((row) => row.user_id)
    ).toContain(odd)
    await presence.leaveRoom(odd, 'emma')
  })
})
