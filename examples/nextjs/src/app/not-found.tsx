import type { Metadata } from 'next'
import Link from 'next/link'
import { connection } from 'next/server'
import styles from '@/components/Message.module.css'

export const metadata: Metadata = { title: 'Not found' }

export default async function NotFound() {
  await connection() // a page of the build would lack the nonce of its scripts
  return (
    <main className={styles.message}>
      <h1>There is nothing here</h1>
      <p>No such page, or no such book any more.</p>
      <Link href="/" className={styles.link}>
        To the books
      </Link>
    </main>
  )
}
