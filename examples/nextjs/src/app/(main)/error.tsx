'use client'

import styles from '@/components/Message.module.css'

// The database can't be reached, or a fault of ours: the server's log has it. Try again asks the
// server: the reset() of Next.js only draws the same failure anew.
export default function ErrorPage() {
  return (
    <main className={styles.message}>
      <title>Something went wrong · Reading rooms</title>
      <h1>This page could not be opened</h1>
      <p>The server did not answer as it should.</p>
      <button type="button" className="button" onClick={() => window.location.reload()}>
        Try again
      </button>
    </main>
  )
}
