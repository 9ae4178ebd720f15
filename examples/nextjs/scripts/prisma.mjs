#!/usr/bin/env node
// The prisma command with the schema engine from npm: nothing is downloaded from
// elsewhere. (On Windows, which can't run a script as a program, only `generate` is so.)

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const args = process.argv.slice(2)
const env = { PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1', ...process.env }
if (process.platform !== 'win32' || args[0] === 'generate')
  env.PRISMA_SCHEMA_ENGINE_BINARY ??= fileURLToPath(new URL('schema-engine.mjs', import.meta.url))

const prisma = createRequire(import.meta.url).resolve('prisma/build/index.js')
const { status } = spawnSync(process.execPath, [prisma, ...args], { stdio: 'inherit', env })
process.exit(status ?? 1)
