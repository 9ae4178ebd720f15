// better-auth in the browser; its endpoints are at /api/auth of the same origin.

import { createAuthClient } from 'better-auth/react'

export const { signIn, signUp, signOut, getSession } = createAuthClient()
