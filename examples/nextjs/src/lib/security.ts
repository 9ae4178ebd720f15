// The Content-Security-Policy of the app's pages.

import type { PusherConfig } from './pusher-client'

// Where pusher-js opens its socket.
export function socketOrigin(config: PusherConfig): string {
  if (config.kind === 'pusher') return `wss://ws-${config.cluster}.pusher.com`
  return `${config.tls ? 'wss' : 'ws'}://${config.host}:${config.port}`
}

type Policy = { nonce: string; connect: string; pictures: string[]; isDevelopment: boolean }

export function contentSecurityPolicy({ nonce, connect, pictures, isDevelopment }: Policy): string {
  return [
    "default-src 'self'",
    // React's development tools evaluate.
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${isDevelopment ? " 'unsafe-eval'" : ''}`,
    // React writes style attributes: colours of avatars, places in the list.
    "style-src 'self' 'unsafe-inline'",
    ['img-src', "'self'", 'data:', ...pictures.map((host) => `https://${host}`)].join(' '),
    `connect-src 'self' ${connect}${isDevelopment ? ' ws:' : ''}`,
    "font-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'"
  ].join('; ')
}
