-- The app's database: accounts (better-auth's tables), books, presence, and
-- what the server's role may do. Run it as the owner of the database, who also
-- needs CREATEROLE the first time; running it again changes nothing.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

CREATE EXTENSION IF NOT EXISTS presence;

-- Accounts. Names and types are better-auth's; a test compares them with the
-- version that is installed.

CREATE TABLE IF NOT EXISTS "user" (
  "id" text PRIMARY KEY,
  "name" text NOT NULL,
  "email" text NOT NULL UNIQUE,
  "emailVerified" boolean NOT NULL,
  "image" text,
  "createdAt" timestamptz NOT NULL DEFAULT now(),
  "updatedAt" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS "session" (
  "id" text PRIMARY KEY,
  "expiresAt" timestamptz NOT NULL,
  "token" text NOT NULL UNIQUE,
  "createdAt" timestamptz NOT NULL DEFAULT now(),
  "updatedAt" timestamptz NOT NULL,
  "ipAddress" text,
  "userAgent" text,
  "userId" text NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS "session_userId_idx" ON "session" ("userId");

CREATE TABLE IF NOT EXISTS "account" (
  "id" text PRIMARY KEY,
  "accountId" text NOT NULL,
  "providerId" text NOT NULL,
  "userId" text NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE,
  "accessToken" text,
  "refreshToken" text,
  "idToken" text,
  "accessTokenExpiresAt" timestamptz,
  "refreshTokenExpiresAt" timestamptz,
  "scope" text,
  "password" text,
  "createdAt" timestamptz NOT NULL DEFAULT now(),
  "updatedAt" timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS "account_userId_idx" ON "account" ("userId");

CREATE TABLE IF NOT EXISTS "verification" (
  "id" text PRIMARY KEY,
  "identifier" text NOT NULL,
  "value" text NOT NULL,
  "expiresAt" timestamptz NOT NULL,
  "createdAt" timestamptz NOT NULL DEFAULT now(),
  "updatedAt" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS "verification_identifier_idx" ON "verification" ("identifier");

-- Books. An id is a room's name, and so has presence's limits; the author is
-- known to the app only if he is one of its readers.

CREATE TABLE IF NOT EXISTS book (
  id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_=@,.;-]{1,150}$'),
  title text NOT NULL,
  author_name text NOT NULL,
  author_id text REFERENCES "user" ("id") ON DELETE SET NULL
);
CREATE INDEX IF NOT EXISTS book_author_idx ON book (author_id);

-- What ON DELETE CASCADE would be if presence had foreign keys to these.

CREATE OR REPLACE TRIGGER forget_presence AFTER DELETE ON "user"
  FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'id');
CREATE OR REPLACE TRIGGER forget_presence AFTER DELETE ON book
  FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('book', 'id');

-- The server's role: presence by its functions, the app's own tables, no more.
-- And one for the gateway. Give them passwords, or let pg_hba.conf decide.

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['reading_app', 'reading_gateway'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', role);
    END IF;
  END LOOP;
END
$$;
SELECT presence.grant_app('reading_app'), presence.grant_gateway('reading_gateway') \g /dev/null
GRANT SELECT, INSERT, UPDATE, DELETE ON "user", "session", "account", "verification" TO reading_app;
GRANT SELECT ON book TO reading_app;

COMMIT;
