import type { NextConfig } from 'next'

const config: NextConfig = {
  poweredByHeader: false,
  // The project stands in a larger repository: this directory is its root, not that one's.
  turbopack: { root: import.meta.dirname }
}

export default config
