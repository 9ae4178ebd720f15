// The page carries where its socket server is, so one build serves every
// environment: app/(main)/layout.tsx writes it, pusher-client.ts reads it.

export const PUSHER_META = 'pusher-config'
