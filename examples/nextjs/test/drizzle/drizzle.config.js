// For test/server/drizzle.test.ts, which sets these.

export default {
  dialect: 'postgresql',
  schema: './schema.ts',
  out: process.env.DRIZZLE_OUT,
  dbCredentials: { url: process.env.OWNER_URL },
  // Not what one should do: the test shows what comes of it.
  ...(process.env.WITH_PRESENCE && { schemaFilter: ['public', 'presence'] })
}
