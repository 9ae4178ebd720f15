import { defineConfig } from 'tsup'

export default defineConfig({
  entry: ['src/index.ts', 'src/members.ts'],
  format: 'esm',
  target: 'es2022',
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } }, // tsup sets baseUrl
  clean: true,
  silent: true
})
