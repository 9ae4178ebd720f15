// The headers that every page and answer has. The Content-Security-Policy names
// where the browser may connect to: here, and the socket server.

import { NextResponse, type NextRequest } from 'next/server'
import { env } from '@/lib/env'
import { pusherConfig } from '@/lib/pusher-config'
import { contentSecurityPolicy, socketOrigin } from '@/lib/security'

export function proxy(request: NextRequest): NextResponse {
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64')
  const policy = contentSecurityPolicy({
    nonce,
    connect: socketOrigin(pusherConfig()),
    pictures: env().AVATAR_HOSTS,
    isDevelopment: process.env.NODE_ENV === 'development'
  })
  // Next.js reads the nonce for its own scripts from the request.
  const headers = new Headers(request.headers)
  headers.set('content-security-policy', policy)
  const response = NextResponse.next({ request: { headers } })
  response.headers.set('content-security-policy', policy)
  if (env().BETTER_AUTH_URL.startsWith('https:'))
    response.headers.set('strict-transport-security', 'max-age=63072000; includeSubDomains')
  return response
}

// Files of the build have no need of it.
export const config = { matcher: '/((?!_next/static|_next/image).*)' }
