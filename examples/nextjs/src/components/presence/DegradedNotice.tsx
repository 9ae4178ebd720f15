import styles from './Notice.module.css'

// Subtle, and late: who is back within two seconds sees nothing of it.
export function DegradedNotice() {
  return (
    <p role="status" className={`${styles.notice} ${styles.late}`}>
      Live updates are paused. The list is refreshed every 30 seconds.
    </p>
  )
}
