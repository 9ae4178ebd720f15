// Not there in production, unless PRESENCE_TEST_PAGE is true. In the layout, above
// what is shown while the page loads, so that the answer is a 404.

import { connection } from 'next/server'
import { notFound } from 'next/navigation'
import type { ReactNode } from 'react'
import { env } from '@/lib/env'

export default async function DevLayout({ children }: { children: ReactNode }) {
  await connection()
  if (process.env.NODE_ENV === 'production' && !env().PRESENCE_TEST_PAGE) notFound()
  return children
}
