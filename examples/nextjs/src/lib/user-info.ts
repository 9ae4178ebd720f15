// A user who is signed in, and what others may see of him.

import 'server-only'
import { env } from './env'
import type { UserInfo } from './members'

export type SessionUser = { id: string; name: string; image: string | null }

const MAX_NAME = 80
const MAX_URL = 500

// presence takes 1,024 bytes of user_info; better-auth does not limit names and pictures.
export function userInfo(user: SessionUser): UserInfo {
  const name = [...user.name].slice(0, MAX_NAME).join('')
  return { name, avatarUrl: user.image !== null && isShown(user.image) ? user.image : null }
}

// Only from hosts that the environment names: a picture anywhere on the web tells
// its server who reads what, and when. The Content-Security-Policy says the same.
function isShown(image: string): boolean {
  if (image.length > MAX_URL || !URL.canParse(image)) return false
  const { protocol, host } = new URL(image)
  return protocol === 'https:' && env().AVATAR_HOSTS.includes(host)
}
