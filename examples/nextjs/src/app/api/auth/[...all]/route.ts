// better-auth's own endpoints: sign up, sign in, sign out.

import { toNextJsHandler } from 'better-auth/next-js'
import { auth } from '@/lib/auth'

export const { GET, POST } = toNextJsHandler((request: Request) => auth().handler(request))
