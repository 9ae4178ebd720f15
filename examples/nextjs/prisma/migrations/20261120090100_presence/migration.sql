-- Who is in which room: the extension, what ends a presence with its user or
-- book, and the roles of the server and the gateway. Its owner is the owner of
-- the database, who needs CREATEROLE if the roles are not there yet.

CREATE EXTENSION IF NOT EXISTS presence;

-- What ON DELETE CASCADE would be if presence had foreign keys to these.

CREATE OR REPLACE TRIGGER forget_presence AFTER DELETE ON "user"
  FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'id');
CREATE OR REPLACE TRIGGER forget_presence AFTER DELETE ON "book"
  FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('book', 'id');

-- Give the roles passwords, or let pg_hba.conf decide.

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
SELECT presence.grant_app('reading_app'), presence.grant_gateway('reading_gateway');
-- `prisma migrate reset` makes the schema anew, for its owner alone.
GRANT USAGE ON SCHEMA public TO reading_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON "user", "session", "account", "verification" TO reading_app;
GRANT SELECT ON "book" TO reading_app;

-- The model RoomPresence: to read, and nothing else.
GRANT SELECT ON presence.room_presence TO reading_app;
