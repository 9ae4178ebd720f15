import type { ActionError } from '@/lib/members'
import styles from './Notice.module.css'

const TEXTS: Record<ActionError, string> = {
  unauthorized: 'Your session has ended. Sign in again to see who is here.',
  'not-found': 'This book is no longer here.',
  invalid: 'This page is out of date. Reload it.',
  unavailable: 'The server does not answer.'
}

export function RefusedNotice({ error }: { error: ActionError }) {
  return (
    <p role="alert" className={styles.notice}>
      {TEXTS[error]}{' '}
      <button type="button" className={styles.reload} onClick={() => window.location.reload()}>
        {error === 'unauthorized' ? 'Sign in' : 'Reload'}
      </button>
    </p>
  )
}
