import type { NextConfig } from 'next'

// With the Content-Security-Policy, which is of each request: src/proxy.ts.
const securityHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), payment=(), usb=()',
  'x-frame-options': 'DENY', // for browsers that know no frame-ancestors
  'cross-origin-opener-policy': 'same-origin'
}

const config: NextConfig = {
  poweredByHeader: false,
  // A second reader on one's own machine: a browser keeps the cookies of localhost and 127.0.0.1 apart.
  allowedDevOrigins: ['127.0.0.1'],
  headers: async () => [
    {
      source: '/:path*',
      headers: Object.entries(securityHeaders).map(([key, value]) => ({ key, value }))
    }
  ],
  // `npm run check` has checked them; a demo need not wait for it once more.
  typescript: { ignoreBuildErrors: process.env.SKIP_TYPES === 'true' },
  experimental: { serverActions: { bodySizeLimit: '16kb' } },
  // The project stands in a larger repository: this directory is its root, not that one's.
  turbopack: { root: import.meta.dirname }
}

export default config
