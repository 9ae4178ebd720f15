// package-lock.json: what `npm ci` needs, on whatever machine.

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

type Package = {
  version?: string
  resolved?: string
  integrity?: string
  optionalDependencies?: Record<string, string>
}

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Package> }

it('has every optional package of every package: those of other platforms too', () => {
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !packages[`${path}/node_modules/${name}`] && !packages[`node_modules/${name}`]
    )
  )
  expect(missing).toEqual([])
  for (const platform of ['darwin-arm64', 'linux-arm64-gnu', 'linux-x64-musl', 'win32-x64-msvc'])
    expect(packages[`node_modules/@next/swc-${platform}`]).toBeDefined()
})

it('says what each package has to be, and no host that it comes from', () => {
  for (const [path, { integrity, resolved }] of Object.entries(packages)) {
    if (path === '') continue
    expect(integrity, path).toMatch(/^sha512-/)
    expect(resolved, path).toBeUndefined()
  }
})
