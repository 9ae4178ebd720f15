-- Brings a table room_presences, as an app kept it by hand, over to presence,
-- while the app goes on. Run it as the owner of the database, twice:
--
--   1. before the deploy of what uses presence:
--        psql "$OWNER_URL" -f db/import-room-presences.sql
--      From here on a trigger follows the old table: who joins, is active or leaves by
--      the old version is seen by the new one. What is older is copied, 1,000 rows a commit.
--   2. when no old version runs any more:
--        psql "$OWNER_URL" -v finish=1 -f db/import-room-presences.sql
--      The trigger goes. The old table stays, for you to drop.
--
-- Both may be run again. Columns: id (text, uuid or number), user, book, joined, last
-- active, left, author; in snake_case or camelCase. Two open rows of one reader in one room, as NULL
-- in a unique constraint allows them, become one presence, with the earlier time. An
-- open row that was not active for two minutes is a ghost, and comes over as ended then. What
-- presence refuses (a book's id out of its limits) is named by a WARNING, and left out.
-- room_presences_imported says which old id became which new one.

\set ON_ERROR_STOP on
\if :{?finish} \else \set finish 0 \endif
SET client_min_messages = warning;

CREATE TABLE IF NOT EXISTS room_presences_imported (legacy_id text PRIMARY KEY, presence_id bigint NOT NULL);

CREATE OR REPLACE FUNCTION room_presences_import(legacy jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  reader text := coalesce(legacy ->> 'user_id', legacy ->> 'userId');
  book text := coalesce(legacy ->> 'book_id', legacy ->> 'bookId');
  tab text := 'legacy-' || (legacy ->> 'id');
  joined timestamptz := coalesce(legacy ->> 'joined_at', legacy ->> 'joinedAt');
  active timestamptz := coalesce(legacy ->> 'last_active_at', legacy ->> 'lastActiveAt', joined::text);
  ended timestamptz := coalesce(legacy ->> 'left_at', legacy ->> 'leftAt');
  author boolean := coalesce(legacy ->> 'is_author', legacy ->> 'isAuthor', 'false');
  known bigint;
BEGIN
  SELECT presence_id INTO known FROM room_presences_imported WHERE legacy_id = legacy ->> 'id';
  IF ended IS NULL AND active > now() - interval '2 minutes' THEN
    SELECT id INTO known FROM presence.join_room(reader, book, tab, NULL, author, '2 minutes');
    UPDATE presence.room_presence SET joined_at = joined
      WHERE book_id = book AND id = known AND joined_at > joined;
  ELSIF known IS NOT NULL THEN
    PERFORM presence.leave_room(reader, book, tab);
  ELSE
    INSERT INTO presence.room_presence
      (user_id, book_id, joined_at, last_active_at, left_at, leave_reason, is_author)
    VALUES (reader, book, joined, greatest(active, joined), greatest(coalesce(ended, active), joined),
      CASE WHEN ended IS NULL THEN 'timeout' ELSE 'left' END, author)
    RETURNING id INTO known;
  END IF;
  INSERT INTO room_presences_imported VALUES (legacy ->> 'id', known) ON CONFLICT DO NOTHING;
EXCEPTION
  -- The app goes on, whatever presence thinks of its row.
  WHEN data_exception OR integrity_constraint_violation THEN
    RAISE WARNING 'room_presences %: %', legacy ->> 'id', sqlerrm;
END
$$;

CREATE OR REPLACE FUNCTION room_presences_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM public.room_presences_import(to_jsonb(NEW));
  RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER room_presences_follow AFTER INSERT OR UPDATE ON room_presences
  FOR EACH ROW EXECUTE FUNCTION room_presences_follow();

-- What was there before the trigger. Rows are locked one thousand at a time.
DO $$
DECLARE
  batch jsonb[];
  last text := '';
BEGIN
  LOOP
    SELECT array_agg(legacy), max(legacy ->> 'id' COLLATE "C") INTO batch, last
    FROM (
      SELECT to_jsonb(old) AS legacy
      FROM room_presences AS old
      WHERE old.id::text COLLATE "C" > last
      ORDER BY old.id::text COLLATE "C"
      LIMIT 1000
      FOR UPDATE
    ) AS old;
    EXIT WHEN batch IS NULL;
    PERFORM room_presences_import(legacy)
    FROM unnest(batch) AS legacy
    WHERE NOT EXISTS (SELECT FROM room_presences_imported WHERE legacy_id = legacy ->> 'id');
    COMMIT;
  END LOOP;
END
$$;

\if :finish
DROP TRIGGER room_presences_follow ON room_presences;
DROP FUNCTION room_presences_follow(), room_presences_import(jsonb);
\endif
