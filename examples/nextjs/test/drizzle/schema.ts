// An app's own tables, as Drizzle has them. Presence is none of them: it comes by a migration.

import { pgTable, text } from 'drizzle-orm/pg-core'

export const user = pgTable('user', {
  id: text().primaryKey(),
  name: text().notNull()
})

export const book = pgTable('book', {
  id: text().primaryKey(),
  title: text().notNull(),
  ...(process.env.WITH_SUBTITLE && { subtitle: text() }) // the next version of the app
})
