// Who is signed in.

import 'server-only'
import { cache } from 'react'
import { auth } from './auth'
import type { SessionUser } from './user-info'

export type { SessionUser }

// The user of a request's session cookie; null if there is none, or it has ended.
// Does not renew the session: pages can't set the cookie, and it would end before its session.
export const currentUser = cache(async (headers: Headers): Promise<SessionUser | null> => {
  const session = await auth().api.getSession({ headers, query: { disableRefresh: true } })
  return session && toUser(session.user)
})

// The same for a route, which can set cookies: a session that is used is renewed
// once a day, and the browser has to know.
export async function sessionOf(headers: Headers): Promise<{ user: SessionUser | null; cookies: string[] }> {
  const { headers: answer, response } = await auth().api.getSession({ headers, returnHeaders: true })
  return { user: response && toUser(response.user), cookies: answer?.getSetCookie() ?? [] }
}

const toUser = ({ id, name, image }: { id: string; name: string; image?: string | null | undefined }): SessionUser => ({
  id,
  name,
  image: image ?? null
})
