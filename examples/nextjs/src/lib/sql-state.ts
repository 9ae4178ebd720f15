// What the database said of a call that failed, whichever layer it came through.

import 'server-only'
import { DatabaseError } from 'pg'
import { Prisma } from '@/generated/prisma/client'

type Cause = { originalCode?: string; originalMessage?: string }

// The SQLSTATE and message; null if the error is none of PostgreSQL's.
export function sqlError(error: unknown): { code: string; message: string } | null {
  if (error instanceof DatabaseError) return { code: error.code ?? '', message: error.message }
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2010') return null
  const { cause } = (error.meta?.driverAdapterError ?? {}) as { cause?: Cause }
  return cause?.originalCode ? { code: cause.originalCode, message: cause.originalMessage ?? '' } : null
}

const INVALID = ['22003', '22004', '22021', '22023', '22P02']

// The HTTP status for a request that the database refused; null if that was not
// the request's fault. 403: not this user's channel, a room that is full, a
// wrong signature. 400: a value out of its limits, a body that is no JSON.
export function refusalStatus(error: unknown): 400 | 403 | null {
  const sql = sqlError(error)
  if (!sql) return null
  // A grant that the app lacks is 42501 too.
  if (sql.code === '42501') return sql.message.startsWith('permission denied for') ? null : 403
  return INVALID.includes(sql.code) ? 400 : null
}

export function refusal(error: unknown): Response {
  const status = refusalStatus(error)
  if (status) return new Response(sqlError(error)!.message, { status })
  console.error(error)
  return new Response('the database did not answer as it should', { status: 500 })
}
