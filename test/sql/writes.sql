-- Joins and leaves write into the table as statements would, whatever its owner made of it: his
-- indexes, constraints, triggers, rules and columns, also those that a session meets on its way.
\set VERBOSITY terse

CREATE FUNCTION pair(who text) RETURNS TABLE (added boolean, left_after boolean) LANGUAGE plpgsql AS $$
BEGIN
	added := (SELECT j.added FROM presence.join_room(who, 'book', 'tab', '{"name": "Ann"}') AS j);
	left_after := presence.leave_room(who, 'book');
	RETURN NEXT;
END $$;
SELECT * FROM pair('ann');

-- indexes of all kinds, made after the session's first write, each as complete as the table
CREATE INDEX own_btree ON presence.room_presence (is_author, user_id);
CREATE INDEX own_gin ON presence.room_presence USING gin (user_info);
CREATE INDEX own_gist ON presence.room_presence USING gist (tstzrange(joined_at, left_at));
CREATE INDEX own_hash ON presence.room_presence USING hash (user_info);
CREATE INDEX own_brin ON presence.room_presence USING brin (joined_at);
CREATE INDEX own_expression ON presence.room_presence (upper(user_id)) WHERE leave_reason = 'left';
SELECT * FROM pair('ben');
SELECT * FROM pair('ben');
REINDEX TABLE presence.room_presence;
SELECT count(*) FILTER (WHERE j.added) AS added
FROM presence.join_rooms(ARRAY['ben', 'cid', 'dan'], ARRAY['book', 'book', 'book'], NULL,
	array_fill('{"name": "Cid"}'::jsonb, '{3}')) AS j;
SELECT * FROM pair('eve');
SELECT presence.leave_room('dan', 'book');

SET enable_seqscan = off;
CREATE FUNCTION found(condition text) RETURNS TABLE (index_used text, rows bigint)
LANGUAGE plpgsql AS $$
DECLARE
	line text;
	plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) SELECT id FROM presence.room_presence WHERE ' || condition LOOP
		plan := plan || line;
	END LOOP;
	index_used := substring(plan FROM 'own_[a-z]+');
	EXECUTE 'SELECT count(*) FROM presence.room_presence WHERE ' || condition INTO rows;
	RETURN NEXT;
END $$;
SELECT * FROM found('NOT is_author AND user_id = ''ben''');
SELECT * FROM found('user_info @> ''{"name": "Cid"}''');
SELECT * FROM found('tstzrange(joined_at, left_at) @> now() + interval ''1 day''');
SELECT * FROM found('user_info = ''{"name": "Cid"}''');
SELECT * FROM found('upper(user_id) = ''EVE'' AND leave_reason = ''left''');
RESET enable_seqscan;
SELECT count(*) FROM presence.room_presence;
DROP INDEX presence.own_gin, presence.own_gist, presence.own_hash;
SELECT * FROM pair('fay');

-- a unique index of the owner's: who breaks it is refused
CREATE UNIQUE INDEX own_unique ON presence.room_presence (book_id) WHERE left_at IS NULL AND book_id = 'desk';
SELECT added FROM presence.join_room('ann', 'desk', 'tab');
SELECT added FROM presence.join_room('ben', 'desk', 'tab');
SELECT presence.leave_room('ann', 'desk');
SELECT added FROM presence.join_room('ben', 'desk', 'tab');
SELECT presence.leave_room('ben', 'desk');
DROP INDEX presence.own_unique;

-- constraints
ALTER TABLE presence.room_presence ADD CONSTRAINT own_check CHECK (user_id <> 'banned');
SELECT * FROM pair('banned');
SELECT count(*) FROM presence.room_presence WHERE user_id = 'banned';
SELECT * FROM pair('gil');
CREATE FUNCTION allowed(who text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT who <> 'hal' $$;
ALTER TABLE presence.room_presence ADD CONSTRAINT own_function CHECK (public.allowed(user_id)) NOT VALID;
SELECT * FROM pair('hal');
CREATE OR REPLACE FUNCTION allowed(who text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT who <> 'ida' $$;
SELECT * FROM pair('hal');
SELECT * FROM pair('ida');
ALTER TABLE presence.room_presence DROP CONSTRAINT own_check, DROP CONSTRAINT own_function;

-- a function of the owner's that joins somebody else, called while a row is written
CREATE FUNCTION brings(who text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF who = 'jon' THEN
		PERFORM presence.join_room('kim', 'book', 'tab');
	ELSIF who = 'leo' THEN
		RAISE EXCEPTION 'not he';
	END IF;
	RETURN true;
END $$;
ALTER TABLE presence.room_presence ADD CONSTRAINT own_friend CHECK (public.brings(user_id)) NOT VALID;
SELECT * FROM pair('jon');
SELECT * FROM pair('leo');
SELECT * FROM pair('max');
SELECT presence.leave_room('kim', 'book');
ALTER TABLE presence.room_presence DROP CONSTRAINT own_friend;

-- triggers, of rows and of statements
CREATE TABLE seen (what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.seen VALUES (TG_LEVEL || ' ' || TG_WHEN || ' ' || TG_OP);
	RETURN NEW;
END $$;
CREATE TRIGGER own_row AFTER INSERT OR UPDATE ON presence.room_presence FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER own_statement BEFORE INSERT OR UPDATE ON presence.room_presence FOR EACH STATEMENT EXECUTE FUNCTION see();
SELECT * FROM pair('ned');
SELECT what, count(*) FROM seen GROUP BY what ORDER BY what;
DROP TRIGGER own_row ON presence.room_presence;
DROP TRIGGER own_statement ON presence.room_presence;
SELECT * FROM pair('ned');
SELECT count(*) FROM seen;

-- a foreign key
CREATE TABLE readers (id text COLLATE "C" PRIMARY KEY);
INSERT INTO readers VALUES ('oda');
ALTER TABLE presence.room_presence ADD CONSTRAINT own_key FOREIGN KEY (user_id) REFERENCES readers NOT VALID;
SELECT * FROM pair('oda');
SELECT * FROM pair('pat');
ALTER TABLE presence.room_presence DROP CONSTRAINT own_key;

-- a rule, a child, a policy for the owner too
CREATE RULE own_rule AS ON UPDATE TO presence.room_presence DO ALSO INSERT INTO public.seen VALUES ('rule');
SELECT * FROM pair('quy');
DROP RULE own_rule ON presence.room_presence;
SELECT count(*) FROM seen WHERE what = 'rule';
CREATE TABLE child () INHERITS (presence.room_presence);
SELECT * FROM pair('ray');
DROP TABLE child;

-- a column with a default
ALTER TABLE presence.room_presence ADD COLUMN source text DEFAULT 'web';
SELECT * FROM pair('sam');
SELECT DISTINCT source FROM presence.room_presence WHERE user_id = 'sam';
ALTER TABLE presence.room_presence DROP COLUMN source;
SELECT * FROM pair('sam');

-- in one transaction with what else is written there, and after a savepoint is gone
BEGIN;
SELECT * FROM pair('tim');
SAVEPOINT s;
SELECT added FROM presence.join_room('tim', 'book', 'tab');
ROLLBACK TO s;
SELECT added FROM presence.join_room('tim', 'book', 'tab');
UPDATE presence.room_presence SET is_author = true WHERE user_id = 'tim' AND left_at IS NULL;
SELECT presence.leave_room('tim', 'book');
SELECT is_author, leave_reason FROM presence.room_presence WHERE user_id = 'tim' ORDER BY id;
COMMIT;

-- another table of the same name
DROP EXTENSION presence;
CREATE EXTENSION presence;
SELECT * FROM pair('uma');
SELECT count(*) FROM presence.room_presence;

-- rows that move while they are open: changed, deleted and written again, the table written anew
-- with less in it, or with others in their places
INSERT INTO presence.room_presence (user_id, book_id, joined_at, left_at)
	SELECT 'past-' || i, 'book', now(), now() FROM generate_series(1, 2000) AS i;
SELECT count(added) FROM unnest('{viv,wes,xia,yul,zoe}'::text[]) AS u, presence.join_room(u, 'moves', 'tab');
UPDATE presence.room_presence SET is_author = true WHERE user_id = 'viv';
WITH gone AS (DELETE FROM presence.room_presence WHERE user_id = 'wes' RETURNING user_id, book_id)
	INSERT INTO presence.room_presence (user_id, book_id) SELECT user_id, book_id FROM gone;
SELECT presence.leave_room(u, 'moves') FROM unnest('{viv,wes}'::text[]) AS u;
DELETE FROM presence.room_presence WHERE user_id LIKE 'past-%';
VACUUM FULL presence.room_presence;
SELECT presence.leave_room('xia', 'moves');
TRUNCATE presence.room_presence;
INSERT INTO presence.room_presence (user_id, book_id) VALUES ('zoe', 'moves'), ('yul', 'moves');
SELECT presence.leave_room(u, 'moves') FROM unnest('{yul,zoe}'::text[]) AS u;
SELECT user_id, leave_reason FROM presence.room_presence ORDER BY user_id;

DELETE FROM presence.room_presence;
DROP TABLE seen, readers;
DROP FUNCTION pair, see, found, allowed, brings;
