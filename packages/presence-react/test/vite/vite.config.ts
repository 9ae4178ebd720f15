import { defineConfig } from 'vite'

// One classic script, which jsdom can run.
export default defineConfig({
  build: { rollupOptions: { output: { format: 'iife', entryFileNames: 'main.js' } } }
})
