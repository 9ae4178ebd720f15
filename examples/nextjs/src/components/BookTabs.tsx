import Link from 'next/link'
import type { Book } from '@/lib/books'
import styles from './BookTabs.module.css'

export function BookTabs({ books, current }: { books: Book[]; current: string }) {
  return (
    <nav aria-label="Books" className={styles.nav}>
      <ul className={styles.list}>
        {books.map(({ id, title }) => (
          <li key={id}>
            <Link
              href={`/dev/presence-test?book=${encodeURIComponent(id)}`}
              prefetch={false}
              className={styles.tab}
              aria-current={id === current ? 'page' : undefined}
            >
              {title}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  )
}
