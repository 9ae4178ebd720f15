// packaging/monitoring: what the dashboard draws and the alerts watch exists, in a gateway's /metrics or by a
// query for postgres_exporter, which the role that monitors may run.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { closeAll, ensureRole, newDatabase, newSocket, startGateway } from './harness.mjs'

const file = (name) => readFileSync(`${process.env.MONITORING}/${name}`, 'utf8')

// queries.yml is laid out in one way: { name, sql, columns: [{ name, usage }] }
const queries = file('queries.yml')
  .split(/^(?=\w+:$)/m)
  .slice(1)
  .map((text) => ({
    name: /^\w+/.exec(text)[0],
    sql: /^ {2}query: \|\n((?: {4}.*\n)+)/m.exec(text)[1],
    columns: [...text.matchAll(/^ {4}- (\w+):\n {8}usage: (\w+)\n {8}description: \S/gm)].map(([, name, usage]) => ({ name, usage }))
  }))
const ofDatabase = queries.flatMap(({ name, columns }) => columns.filter(({ usage }) => usage !== 'LABEL').map((column) => `${name}_${column.name}`))

const dashboard = JSON.parse(file('grafana-dashboard.json'))
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const alerts = [...file('alerts.yml').matchAll(/^ {6}- alert: (\w+)\n {8}expr: (.+)\n(?: {8}for: \d+m\n)?( {8}labels: .*\n {8}annotations:\n {10}summary: \S)/gm)]

const namesIn = (expression) => expression.replace(/"[^"]*"/g, '').match(/\b(?:presence|process)_\w+/g) ?? []

let database, gateway
const ofGateway = new Set()
before(async () => {
  database = await newDatabase()
  gateway = await startGateway(database)
  for (const [, name, type] of (await gateway.get('/metrics')).matchAll(/^# TYPE (\S+) (\S+)$/gm))
    for (const suffix of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) ofGateway.add(name + suffix)
})
after(closeAll)

const exists = (name) => ofGateway.has(name) || ofDatabase.includes(name)
const missing = (expressions) => expressions.flatMap(namesIn).filter((name) => !exists(name))

test('the queries run as the role that monitors, and have the columns that become metrics', async () => {
  assert.equal(queries.length, 3)
  await ensureRole('observer')
  await database.sql("SELECT presence.grant_monitor('observer')")
  const client = new pg.Client({ database: database.name, user: 'observer' })
  await client.connect()
  try {
    for (const { name, sql, columns } of queries)
      assert.deepEqual((await client.query(sql)).fields.map((field) => field.name), columns.map((column) => column.name), name)
  } finally {
    await client.end()
  }
})

test('what the panels draw exists', () => {
  assert.ok(panels.length >= 20)
  for (const { title, targets } of panels) assert.ok(targets.length > 0 && targets.every(({ expr }) => namesIn(expr).length > 0), title)
  assert.deepEqual(missing(panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))), [])
  assert.deepEqual(missing(dashboard.templating.list.map(({ query }) => query.query ?? '')), [])
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length, 'each panel has its number')
})

test('what the alerts watch exists', () => {
  assert.equal(alerts.length, (file('alerts.yml').match(/- alert:/g) ?? []).length, 'each is laid out so that it is read here')
  assert.ok(alerts.length >= 15)
  assert.deepEqual(missing(alerts.map(([, , expression]) => expression)), [])
  for (const [, name, expression] of alerts) assert.ok(namesIn(expression).length > 0 || expression.startsWith('up{'), name)
  assert.equal(new Set(alerts.map(([, name]) => name)).size, alerts.length)
})

test('what the database has is drawn or watched', () => {
  const used = [...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)), ...alerts.map(([, , expression]) => expression)].flatMap(namesIn)
  assert.deepEqual(ofDatabase.filter((name) => !used.includes(name)), [])
})

test('a gateway with clients says so', async () => {
  await newSocket(gateway)
  assert.equal(await gateway.metric('sockets'), 1)
})
