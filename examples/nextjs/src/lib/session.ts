// Who is signed in, and what others may see of him.

import 'server-only'
import { auth } from './auth'
import type { UserInfo } from './members'

export type SessionUser = { id: string; name: string; image: string | null }

// The user of a request's session cookie; null if there is none, or it has ended.
export async function currentUser(headers: Headers): Promise<SessionUser | null> {
  const session = await auth().api.getSession({ headers })
  if (!session) return null
  const { id, name, image } = session.user
  return { id, name, image: image ?? null }
}

const MAX_NAME = 80
const MAX_URL = 500

// presence takes 1,024 bytes of user_info; better-auth does not limit names and pictures.
export function userInfo(user: SessionUser): UserInfo {
  const name = [...user.name].slice(0, MAX_NAME).join('')
  const isWeb = user.image !== null && /^https:\/\/[!-~]+$/.test(user.image) && user.image.length <= MAX_URL
  return { name, avatarUrl: isWeb ? user.image : null }
}
