import styles from '@/components/Message.module.css'

export default function Loading() {
  return (
    <p role="status" className={styles.loading}>
      Opening the book …
    </p>
  )
}
