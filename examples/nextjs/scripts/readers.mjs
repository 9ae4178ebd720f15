// Readers for the demo, who come to the sample books, stay a while, and go.
// DATABASE_URL is that of the app: they do what a server does for a reader who
// polls. Ctrl-C and SIGTERM send them home.

import { randomBytes } from 'node:crypto'
import { Pool } from 'pg'

const NAMES = [
  'Tom Ferreira',
  'Ines Okafor',
  'Jun Watanabe',
  'Sofie Lindqvist',
  'Amara Diallo',
  'Mateo Rossi',
  'Priya Raman',
  'Lukas Brandt',
  'Noor Haddad',
  'Elena Petrova'
]
const LEASE = '30 seconds'
const HEARTBEAT = 10_000
// The first of a reader's stays begins soon, so that nobody waits for the demo.
const FIRST_WAIT = [0, 15_000]
const STAY = [20_000, 90_000]
const WAIT = [5_000, 40_000]

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 4 })
pool.on('error', () => {}) // PostgreSQL restarts: the next query has a new connection
let ending = false

const between = ([from, to]) => from + Math.random() * (to - from)
const oneOf = (list) => list[Math.floor(Math.random() * list.length)]

const sleepers = new Set()
const sleep = (ms) =>
  new Promise((resolve) => {
    if (ending) return resolve()
    const wake = () => {
      clearTimeout(timer)
      sleepers.delete(wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    sleepers.add(wake)
  })

async function join({ id, name, connection, book, isAuthor }) {
  await pool.query('SELECT presence.join_room($1, $2, $3, $4, $5, $6)', [
    id,
    book,
    connection,
    { name, avatarUrl: null },
    isAuthor,
    LEASE
  ])
}

async function stay(reader) {
  const until = Date.now() + between(STAY)
  await join(reader)
  while (!ending && Date.now() < until) {
    await sleep(Math.min(HEARTBEAT, until - Date.now()))
    const { rows } = await pool.query('SELECT presence.touch_room($1, $2, $3) AS joined', [
      reader.id,
      reader.book,
      reader.connection
    ])
    if (!rows[0].joined) await join(reader)
  }
  await pool.query('SELECT presence.leave_room($1, $2, $3)', [reader.id, reader.book, reader.connection])
}

// books: where he goes, one of them each time; twice in the list, twice as often.
async function live({ id, name, books }) {
  await sleep(between(FIRST_WAIT))
  while (!ending) {
    const { book, isAuthor } = oneOf(books.map((entry) => ({ book: entry.id, isAuthor: entry.author_id === id })))
    const connection = randomBytes(8).toString('hex')
    await stay({ id, name, connection, book, isAuthor }).catch((error) => console.error(`${name}: ${error.message}`))
    await sleep(between(WAIT))
  }
}

for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    ending = true
    for (const wake of sleepers) wake()
  })

const { rows: books } = await pool.query('SELECT id, author_id FROM book ORDER BY title, id')
if (books.length === 0) {
  console.error('readers: there are no books; run scripts/setup-database --sample')
  process.exit(1)
}
// Most of them read the first book, which the page opens with.
const preferred = [books[0], books[0], ...books]
const readers = NAMES.map((name) => ({ id: `demo-${name.toLowerCase().replace(/\W/g, '-')}`, name, books: preferred }))
const { rows: authors } = await pool.query(
  'SELECT DISTINCT u.id, u.name FROM "user" AS u JOIN book AS b ON b.author_id = u.id'
)
for (const { id, name } of authors) readers.push({ id, name, books: books.filter((book) => book.author_id === id) })

await Promise.all(readers.map(live))
await pool.end()
