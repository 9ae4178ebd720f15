// Presence, typed: each function of the extension once. `presence` runs them on
// the app's pool; presenceOn(tx), in a transaction of Prisma's with whatever else
// belongs to it. Numbers of 64 bits (id, version, connection) are strings, as
// JavaScript's numbers and JSON hold less. Errors: sql-state.ts.

import 'server-only'
import type { PrismaClient } from '@/generated/prisma/client'
import { prisma } from './prisma'

type Database = Pick<PrismaClient, '$queryRaw'>
type Json = Record<string, unknown>

export type JoinedRow = {
  id: string
  userId: string
  bookId: string
  joinedAt: Date
  lastActiveAt: Date
  isAuthor: boolean
  userInfo: Json | null
  connection: string // a handle for touch() and dropConnections()
  added: boolean // this call made the user a member
}

export type MemberRow = {
  userId: string
  userInfo: Json | null
  isAuthor: boolean
  joinedAt: Date
  lastActiveAt: Date
  connections: number
}

// members: as presence.poll_room gives them; null while the version is still `known`.
export type PolledRow = { version: string; joined: boolean; members: unknown[] | null }
export type PolledChangesRow = PolledRow & { added: unknown[] | null; removed: string[] | null }

export type JoinOptions = {
  connectionId?: string | undefined // default ''
  userInfo?: Json | null
  isAuthor?: boolean | null
  ttl?: string | null // an interval: '75 seconds'
  capacity?: number | null // members at most: 53400 if the room is full, and the user is none of them
}

export type BatchOptions = {
  ttl?: string | null
  skipLocked?: boolean // what another open transaction is changing comes back at once, with id null
  keepInfo?: boolean // userInfo and isAuthor count only for who becomes a member by this call
}

type Nullable<T> = { [Key in keyof T]: T[Key] | null }

export function presenceOn(db: Database) {
  const one = async <T>(rows: Promise<T[]>): Promise<T> => (await rows)[0]!
  const value = async <T>(rows: Promise<{ value: T }[]>): Promise<T> => (await rows)[0]!.value
  const json = (object: unknown) => (object == null ? null : JSON.stringify(object))

  return {
    // A room

    joinRoom: (userId: string, bookId: string, options: JoinOptions = {}) =>
      one(db.$queryRaw<JoinedRow[]>`
        SELECT id::text, user_id AS "userId", book_id AS "bookId", joined_at AS "joinedAt",
          last_active_at AS "lastActiveAt", is_author AS "isAuthor", user_info AS "userInfo",
          connection::text, added
        FROM presence.join_room(${userId}, ${bookId}, ${options.connectionId ?? ''},
          ${json(options.userInfo)}::jsonb, ${options.isAuthor ?? null}::boolean, ${options.ttl ?? null}::interval,
          ${options.capacity ?? null}::integer)`),

    // Without a connection: all of them. True: the user is no longer a member, by this call.
    leaveRoom: (userId: string, bookId: string, connectionId: string | null = null) =>
      value(db.$queryRaw<{ value: boolean }[]>`
        SELECT presence.leave_room(${userId}, ${bookId}, ${connectionId}) AS value`),

    // Oldest first.
    roomMembers: (bookId: string) => db.$queryRaw<MemberRow[]>`
      SELECT user_id AS "userId", user_info AS "userInfo", is_author AS "isAuthor", joined_at AS "joinedAt",
        last_active_at AS "lastActiveAt", connections
      FROM presence.room_members(${bookId})`,

    memberCount: (bookId: string) =>
      value(db.$queryRaw<{ value: number }[]>`SELECT presence.member_count(${bookId}) AS value`),

    userRooms: (userId: string) => db.$queryRaw<
      { bookId: string; joinedAt: Date; lastActiveAt: Date; isAuthor: boolean }[]
    >`
      SELECT book_id AS "bookId", joined_at AS "joinedAt", last_active_at AS "lastActiveAt", is_author AS "isAuthor"
      FROM presence.user_rooms(${userId})`,

    // False: join again.
    touchRoom: (userId: string, bookId: string, connectionId = '') =>
      value(db.$queryRaw<{ value: boolean }[]>`
        SELECT presence.touch_room(${userId}, ${bookId}, ${connectionId}) AS value`),

    // Heartbeat and list in one.
    pollRoom: (userId: string, bookId: string, connectionId = '', known: string | null = null) =>
      one(db.$queryRaw<PolledRow[]>`
        SELECT version::text, joined, members
        FROM presence.poll_room(${userId}, ${bookId}, ${connectionId}, ${known}::bigint)`),

    // The same of a client that knows a version: `members` is null, and `added` and `removed` tell what has
    // changed since, unless the whole list had to be sent.
    pollRoomChanges: (userId: string, bookId: string, connectionId = '', known: string | null = null) =>
      one(db.$queryRaw<PolledChangesRow[]>`
        SELECT version::text, joined, members, added, removed
        FROM presence.poll_room_changes(${userId}, ${bookId}, ${connectionId}, ${known}::bigint)`),

    // Many at once, for gateways

    joinRooms: (
      joins: { userId: string; bookId: string; connectionId: string; userInfo?: Json | null; isAuthor?: boolean }[],
      { ttl = null, skipLocked = false, keepInfo = false }: BatchOptions = {}
    ) =>
      db.$queryRaw<(Nullable<JoinedRow> & { ordinality: string })[]>`
        SELECT ordinality::text, id::text, user_id AS "userId", book_id AS "bookId", joined_at AS "joinedAt",
          last_active_at AS "lastActiveAt", is_author AS "isAuthor", user_info AS "userInfo",
          connection::text, added
        FROM presence.join_rooms(${joins.map(({ userId }) => userId)}::text[],
          ${joins.map(({ bookId }) => bookId)}::text[], ${joins.map(({ connectionId }) => connectionId)}::text[],
          ${joins.map(({ userInfo }) => json(userInfo))}::text[]::jsonb[], ${ttl}::interval,
          ${joins.map(({ isAuthor }) => isAuthor ?? null)}::boolean[], ${skipLocked}, ${keepInfo})`,

    // Returns the handles that are unknown: join those again.
    touch: (connections: string[]) =>
      value(db.$queryRaw<{ value: string[] }[]>`
        SELECT presence.touch(${connections}::text[]::bigint[])::text[] AS value`),

    // Returns how many members that removed. Honours presence.linger.
    dropConnections: (connections: string[]) =>
      value(db.$queryRaw<{ value: number }[]>`
        SELECT presence.drop_connections(${connections}::text[]::bigint[]) AS value`),

    // Pusher. What is signed is sent as it is: text, not an object.

    pusherAuthSignature: (socketId: string, channel: string, data: string | null = null, key: string | null = null) =>
      value(db.$queryRaw<{ value: string }[]>`
        SELECT presence.pusher_auth_signature(${socketId}, ${channel}, ${data}, ${key}) AS value`),

    pusherAuthorizeChannel: (
      userId: string,
      socketId: string,
      channel: string,
      userInfo: Json | null = null,
      key: string | null = null
    ) =>
      value(db.$queryRaw<{ value: string }[]>`
        SELECT presence.pusher_authorize_channel(${userId}, ${socketId}, ${channel},
          ${json(userInfo)}::jsonb, ${key})::text AS value`),

    // Of an encrypted channel, in base64.
    pusherSharedSecret: (channel: string, key: string | null = null) =>
      value(db.$queryRaw<{ value: string }[]>`
        SELECT presence.pusher_shared_secret(${channel}, ${key}) AS value`),

    pusherAuthenticateUser: (
      userId: string,
      socketId: string,
      userInfo: Json | null = null,
      key: string | null = null
    ) =>
      value(db.$queryRaw<{ value: string }[]>`
        SELECT presence.pusher_authenticate_user(${userId}, ${socketId}, ${json(userInfo)}::jsonb, ${key})::text AS value`),

    // The signed query string of a request to Pusher's HTTP API.
    pusherSignRequest: (method: string, path: string, body: string | null = null, key: string | null = null) =>
      value(db.$queryRaw<{ value: string }[]>`
        SELECT presence.pusher_sign_request(${method}, ${path}, ${body}, app_key => ${key}) AS value`),

    pusherVerifyWebhook: (key: string, signature: string, body: string) =>
      value(db.$queryRaw<{ value: boolean }[]>`
        SELECT presence.pusher_verify_webhook(${key}, ${signature}, ${body}) AS value`),

    // Returns how many members the webhook added and removed.
    pusherApplyWebhook: (key: string, signature: string, body: string) =>
      value(db.$queryRaw<{ value: number }[]>`
        SELECT presence.pusher_apply_webhook(${key}, ${signature}, ${body}) AS value`),

    // Who is where, of the people one cares for

    onlineUsers: (userIds: string[]) => db.$queryRaw<
      { userId: string; bookIds: string[]; since: Date; lastActiveAt: Date }[]
    >`
      SELECT user_id AS "userId", book_ids AS "bookIds", since, last_active_at AS "lastActiveAt"
      FROM presence.online_users(${userIds}::text[])`,

    lastSeen: (userIds: string[]) => db.$queryRaw<
      { userId: string; lastSeenAt: Date | null; bookId: string | null; online: boolean }[]
    >`
      SELECT user_id AS "userId", last_seen_at AS "lastSeenAt", book_id AS "bookId", online
      FROM presence.last_seen(${userIds}::text[])`,

    // Rooms with most members first.
    largestRooms: (max = 10) => db.$queryRaw<{ bookId: string; members: number }[]>`
      SELECT book_id AS "bookId", members FROM presence.largest_rooms(${max}::integer)`,

    // History

    membersAt: (bookId: string, at: Date) => db.$queryRaw<
      { userId: string; userInfo: Json | null; isAuthor: boolean; joinedAt: Date; leftAt: Date | null }[]
    >`
      SELECT user_id AS "userId", user_info AS "userInfo", is_author AS "isAuthor", joined_at AS "joinedAt",
        left_at AS "leftAt"
      FROM presence.members_at(${bookId}, ${at}::timestamptz)`,

    peakMembers: (bookId: string, since: Date, until: Date = new Date()) =>
      one(db.$queryRaw<{ members: number; at: Date | null }[]>`
        SELECT members, at FROM presence.peak_members(${bookId}, ${since}::timestamptz, ${until}::timestamptz)`),

    // The day as text, since it is one of the time zone.
    peakMembersByDay: (bookId: string, since: Date, until = new Date(), timeZone: string | null = null) =>
      db.$queryRaw<{ day: string; members: number; at: Date }[]>`
        SELECT day::text, members, at FROM presence.peak_members_by_day(
          ${bookId}, ${since}::timestamptz, ${until}::timestamptz, ${timeZone})`,

    // Hours of the day, that with most members on average first.
    busiestHours: (bookId: string, since: Date, until = new Date(), timeZone: string | null = null) =>
      db.$queryRaw<{ hour: number; averageMembers: number; joins: number }[]>`
        SELECT hour, average_members AS "averageMembers", joins::float8 AS joins FROM presence.busiest_hours(
          ${bookId}, ${since}::timestamptz, ${until}::timestamptz, ${timeZone})`,

    // Of stays that have ended; seconds, null if there were none.
    averageStay: (bookId: string, since: Date | null = null, until = new Date()) =>
      one(db.$queryRaw<{ stays: number; users: number; average: number | null; median: number | null }[]>`
        SELECT stays::float8, users::float8, extract(epoch FROM average)::float8 AS average,
          extract(epoch FROM median)::float8 AS median
        FROM presence.average_stay(${bookId}, coalesce(${since}::timestamptz, '-infinity'), ${until}::timestamptz)`),

    // Seconds.
    timeInRoom: (userId: string, bookId: string, since: Date | null = null, until: Date | null = null) =>
      value(db.$queryRaw<{ value: number }[]>`
        SELECT extract(epoch FROM stay)::float8 AS value FROM presence.time_in_room(${userId}, ${bookId},
          coalesce(${since}::timestamptz, '-infinity'), coalesce(${until}::timestamptz, now())) AS stay`),

    // Many machines: null, and one node, where rooms are not spread over several.

    isSharded: () => value(db.$queryRaw<{ value: boolean }[]>`SELECT presence.is_sharded() AS value`),

    roomNode: (bookId: string) =>
      one(db.$queryRaw<{ host: string | null; port: number | null }[]>`
        SELECT nodename AS host, nodeport AS port FROM presence.room_node(${bookId})`),

    // Which rooms are on which node, by hashtext(book_id); none where they are not spread.
    shards: () => db.$queryRaw<
      { firstHash: number; lastHash: number; host: string | null; port: number | null; isLocal: boolean }[]
    >`
      SELECT first_hash AS "firstHash", last_hash AS "lastHash", nodename AS host, nodeport AS port,
        is_local AS "isLocal"
      FROM presence.shards()`,

    // The rows that a query has on each node.
    onAllNodes: (query: string) => db.$queryRaw<{ host: string | null; port: number | null; row: Json }[]>`
      SELECT nodename AS host, nodeport AS port, result AS row FROM presence.on_all_nodes(${query})`,

    // Upkeep: for the owner of the database

    sweep: () => value(db.$queryRaw<{ value: number }[]>`SELECT presence.sweep() AS value`),

    purgeHistory: (olderThan: string) =>
      value(db.$queryRaw<{ value: string }[]>`SELECT presence.purge_history(${olderThan}::interval)::text AS value`),

    forgetUser: (userId: string) =>
      value(db.$queryRaw<{ value: string }[]>`SELECT presence.forget_user(${userId})::text AS value`),

    forgetBook: (bookId: string) =>
      value(db.$queryRaw<{ value: string }[]>`
        SELECT forgotten::text AS value FROM presence.forget_book(${bookId}) AS forgotten`)
  }
}

export const presence = presenceOn(prisma)
