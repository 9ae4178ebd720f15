import styles from './Notice.module.css'

// Subtle, and late: who is back within two seconds sees nothing of it. The
// element for screen readers is always there, or they would not read what appears in it.
export function DegradedNotice({ degraded }: { degraded: boolean }) {
  return (
    <div role="status">
      {degraded && (
        <p className={`${styles.notice} ${styles.late}`}>
          Live updates are paused. The list is refreshed every 30 seconds.
        </p>
      )}
    </div>
  )
}
