'use client'

import './globals.css'
import styles from '@/components/Message.module.css'

// When even the layout fails: it is replaced by this. Try again asks the server: the reset() of
// Next.js only draws the same failure anew.
export default function GlobalError() {
  return (
    <html lang="en">
      <body>
        <main className={styles.message}>
          <title>Something went wrong · Reading rooms</title>
          <h1>This page could not be opened</h1>
          <p>The server did not answer as it should.</p>
          <button type="button" className="button" onClick={() => window.location.reload()}>
            Try again
          </button>
        </main>
      </body>
    </html>
  )
}
