import type { NextConfig } from 'next'

const config: NextConfig = {
  poweredByHeader: false,
  // A second reader on one's own machine: a browser keeps the cookies of localhost and 127.0.0.1 apart.
  allowedDevOrigins: ['127.0.0.1'],
  // The project stands in a larger repository: this directory is its root, not that one's.
  turbopack: { root: import.meta.dirname }
}

export default config
