#!/usr/bin/env node
// Prisma's schema engine, as npm has it (WebAssembly), behind the interface of the
// binary that the prisma command would download: JSON-RPC, a line a message, on
// stdin and stdout. scripts/prisma.mjs names it in PRISMA_SCHEMA_ENGINE_BINARY, so
// that migrations need no other source than npm.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import { parseIntoClientConfig } from 'pg-connection-string'
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg'

const CHAR = 18 // OIDs of types
const BPCHAR = 1042

async function loadEngine() {
  const file = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg')
  const wasm = readFileSync(file.replace(/\.js$/, '.wasm'))
  const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': bindings })
  bindings.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: {
    datasource: { type: 'string' },
    datamodels: { type: 'string', multiple: true },
    version: { type: 'boolean' }
  }
})

const write = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)

// What the prisma command reads from stderr when the engine ends with status 1.
function fail(error) {
  const fields = { message: error.message, error_code: error.code ?? '' }
  process.stderr.write(`\n${JSON.stringify({ level: 'ERROR', target: 'schema_engine::logger', fields })}\n`)
  process.exit(1)
}

// As the binary reports it: a code that its users know, or the text.
function errorOf(error) {
  const message = error?.message ?? String(error)
  const data = error?.code ? { is_panic: false, message, error_code: error.code, meta: error.meta ?? {} } : { message }
  return { code: 4466, message, data }
}

const shadows = [] // how to drop those of the request at hand

// What the adapter lacks for migrations: a script is one message, not text cut at each
// semicolon; the catalogs' type "char"; a shadow database that is not the database itself.
class Connections extends PrismaPg {
  async connect() {
    const adapter = await super.connect()
    const { client } = adapter
    adapter.executeScript = (script) =>
      client.query(script).then(
        () => {},
        (error) => adapter.onError(error)
      )
    const [performIO, queryRaw] = [adapter.performIO.bind(adapter), adapter.queryRaw.bind(adapter)]
    let chars = [] // of the query at hand: the engine asks one at a time
    adapter.performIO = async (query) => {
      const result = await performIO(query)
      chars = result.fields.flatMap((field, index) => (field.dataTypeID === CHAR ? [index] : []))
      for (const index of chars) result.fields[index].dataTypeID = BPCHAR
      return result
    }
    adapter.queryRaw = async (query) => {
      const result = await queryRaw(query)
      for (const index of chars) result.columnTypes[index] = ColumnTypeEnum.Character
      return result
    }
    return adapter
  }

  async connectToShadowDb() {
    const database = `prisma_migrate_shadow_db_${randomUUID()}`
    const main = await this.connect()
    await main.executeScript(`CREATE DATABASE "${database}"`)
    const shadow = await new Connections({ ...this.config, database }).connect()
    // The engine closes it, and leaves it behind.
    shadows.push(() => main.executeScript(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`))
    return shadow
  }
}

async function open() {
  const { url } = JSON.parse(options.datasource ?? '{}')
  const datamodels = options.datamodels?.map((file) => [file, readFileSync(file, 'utf8')])
  const factory = bindMigrationAwareSqlAdapterFactory(new Connections(parseIntoClientConfig(url)))
  return bindings.SchemaEngine.new({ datamodels }, () => {}, factory)
}

async function dropShadows() {
  await Promise.all(shadows.splice(0).map((drop) => drop()))
}

async function answer(engine, { id, method, params }) {
  try {
    const result = await engine[method](params ?? {}).finally(dropShadows)
    // The binary prints a difference itself.
    if (method === 'diff' && result.stdout)
      write({ id: `print-${id}`, method: 'print', params: { content: result.stdout } })
    write({ id, result: result ?? null })
  } catch (error) {
    write({ id, error: errorOf(error) })
  }
}

// What the engine says when it gives up.
globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: (message) => process.stderr.write(`${message}\n`) }
await loadEngine()
if (options.version) {
  console.log(`schema-engine-cli ${bindings.version()}`)
} else if (positionals[0] === 'cli') {
  // can-connect-to-database, create-database: a database is made by its owner.
  const engine = await open().catch(fail)
  await engine.ensureConnectionValidity({ datasource: { tag: 'ConnectionString', url: '' } }).catch(fail)
  process.exit(0)
} else {
  const engine = await open().catch(fail)
  let last = Promise.resolve()
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const message = JSON.parse(line)
      if (message.method) last = last.then(() => answer(engine, message))
    })
    .on('close', () => void last.finally(() => process.exit(0)))
}
