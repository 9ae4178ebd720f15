import { defineConfig } from 'tsup'

export default defineConfig({
  entry: ['src/index.ts', 'src/members.ts'],
  format: 'esm',
  target: 'es2022',
  dts: true,
  clean: true,
  silent: true
})
