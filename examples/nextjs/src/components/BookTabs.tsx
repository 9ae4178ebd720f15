import Link from 'next/link'
import type { Book } from '@/lib/books'
import styles from './BookTabs.module.css'

// base: a book's page is that and its id.
export function BookTabs({ books, current, base }: { books: Book[]; current: string; base: string }) {
  return (
    <nav aria-label="Books" className={styles.nav}>
      <ul className={styles.list}>
        {books.map(({ id, title }) => (
          <li key={id}>
            <Link
              href={`${base}${encodeURIComponent(id)}`}
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
