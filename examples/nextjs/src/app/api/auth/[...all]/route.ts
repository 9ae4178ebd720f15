// better-auth's own endpoints: sign up, sign in, sign out. It reads a body whole.

import { toNextJsHandler } from 'better-auth/next-js'
import { auth } from '@/lib/auth'
import { readBody } from '@/lib/http'

const MAX_BODY = 16_384

const handler = toNextJsHandler((request: Request) => auth().handler(request))

export const GET = handler.GET

export async function POST(request: Request): Promise<Response> {
  const { url, method, headers } = request
  const body = await readBody(request, MAX_BODY)
  if (body === null) return new Response('too large', { status: 413 })
  return handler.POST(new Request(url, { method, headers, body }))
}
