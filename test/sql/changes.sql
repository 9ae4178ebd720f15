-- A client that is told what has changed has the list, whatever happened in between.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
CREATE TEMP TABLE client (room text PRIMARY KEY, version bigint, list jsonb, told text);
-- Polls a room, applies what is told, and compares with the list; how it was told is another matter
-- for a server that does not preload.
CREATE FUNCTION pg_temp.poll(book text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	mine client;
	news record;
	whole jsonb;
BEGIN
	INSERT INTO client VALUES (book) ON CONFLICT DO NOTHING;
	SELECT * INTO mine FROM client WHERE room = book;
	SELECT * INTO news FROM presence.poll_room_changes('reader', book, 'tab', mine.version);
	mine.told := CASE WHEN news.members IS NOT NULL THEN 'list' WHEN news.added IS NOT NULL THEN 'changes' ELSE 'nothing' END;
	IF (news.added IS NULL) <> (news.removed IS NULL) OR (news.members IS NOT NULL AND news.added IS NOT NULL) THEN
		RETURN 'told in two ways';
	END IF;
	SELECT jsonb_object_agg(m ->> 'user_id', m) INTO whole FROM jsonb_array_elements(news.members) AS m;
	IF news.members IS NOT NULL THEN
		mine.list := COALESCE(whole, '{}');
	END IF;
	mine.list := mine.list - ARRAY(SELECT jsonb_array_elements_text(news.removed));
	SELECT COALESCE(jsonb_object_agg(m ->> 'user_id', m), '{}') INTO whole FROM jsonb_array_elements(news.added) AS m;
	mine.list := mine.list || whole;
	UPDATE client SET version = news.version, list = mine.list, told = mine.told WHERE room = book;
	SELECT COALESCE(jsonb_object_agg(m ->> 'user_id', m), '{}') INTO whole
	FROM presence.poll_room('reader', book) AS p, jsonb_array_elements(p.members) AS m;
	IF mine.list <> whole THEN
		RETURN mine.told || ', but it has ' || mine.list::text || ' and not ' || whole::text;
	END IF;
	RETURN 'right: ' || COALESCE((SELECT string_agg(k, ' ' ORDER BY k COLLATE "C") FROM jsonb_object_keys(mine.list) AS k), 'nobody');
END $$;
SELECT pg_temp.poll('b');
SELECT added FROM presence.join_room('reader', 'b', 'tab', ttl => '1 h');
SELECT pg_temp.poll('b');
SELECT joined, version = (SELECT version FROM client) AS same, members, added, removed
FROM presence.poll_room_changes('reader', 'b', 'tab', (SELECT version FROM client));
SELECT joined FROM presence.poll_room_changes('reader', 'b', 'other');
-- who comes, goes, comes again, is another, or an author
SELECT added FROM presence.join_room('ann', 'b', user_info => '{"name": "Ann"}');
SELECT pg_temp.poll('b');
SELECT added FROM presence.join_room('ann', 'b', 'second tab');
SELECT pg_temp.poll('b');
SELECT added FROM presence.join_room('ann', 'b', user_info => '{"name": "Anna"}');
SELECT pg_temp.poll('b');
SELECT added FROM presence.join_room('ann', 'b', is_author => true);
SELECT pg_temp.poll('b');
SELECT presence.leave_room('ann', 'b');
SELECT pg_temp.poll('b');
SELECT added FROM presence.join_room('ann', 'b');
SELECT presence.leave_room('ann', 'b');
SELECT added FROM presence.join_room('ann', 'b');
SELECT presence.leave_room('ben', 'b');
SELECT pg_temp.poll('b');
SELECT presence.leave_room('ann', 'b');
SELECT added FROM presence.join_room('ann', 'b', user_info => '{"name": "Third"}');
SELECT pg_temp.poll('b');
-- who came and went between two polls
SELECT added FROM presence.join_room('ben', 'b');
SELECT presence.leave_room('ben', 'b');
SELECT pg_temp.poll('b');
-- many at once, closed sockets, forgotten users
SELECT count(*) FROM presence.join_rooms('{cy,dee,ann,eve}', '{b,b,b,b}', '{1,2,3,4}', NULL);
SELECT pg_temp.poll('b');
SELECT presence.drop_connections(array_agg(connection)) FROM presence.join_rooms('{cy,dee}', '{b,b}', '{1,2}', NULL);
SELECT presence.forget_user('eve');
SELECT pg_temp.poll('b');
-- leases that end
SELECT added FROM presence.join_room('fay', 'b', ttl => '10 s');
SELECT pg_temp.poll('b');
SELECT presence.sweep(now() + interval '15 s') > 0;
SELECT pg_temp.poll('b');
-- rollbacks, of transactions and to savepoints
BEGIN;
SELECT added FROM presence.join_room('gus', 'b');
ROLLBACK;
SELECT pg_temp.poll('b');
BEGIN;
SELECT added FROM presence.join_room('gus', 'b');
SAVEPOINT s;
SELECT presence.leave_room('gus', 'b'), presence.leave_room('ann', 'b');
ROLLBACK TO s;
SELECT added FROM presence.join_room('hal', 'b');
COMMIT;
SELECT pg_temp.poll('b');
BEGIN;
SAVEPOINT s;
SELECT added FROM presence.join_room('ann', 'b', is_author => true);
ROLLBACK TO s;
SELECT added FROM presence.join_room('hal', 'b', user_info => '{"name": "Hal"}');
RELEASE s;
COMMIT;
SELECT pg_temp.poll('b');
-- in the transaction that changes the room, and after it
BEGIN;
SELECT added FROM presence.join_room('ian', 'b');
SELECT pg_temp.poll('b');
SELECT presence.leave_room('ann', 'b');
SELECT pg_temp.poll('b');
COMMIT;
SELECT pg_temp.poll('b');
SELECT pg_temp.poll('b');
-- all isolation levels tell of what is committed
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT pg_temp.poll('b');
COMMIT;
-- strange names, and a room that empties
SELECT added FROM presence.join_room(E'\u00fc"\\,\n''', 'b', user_info => '{"a": [1, {"b": null}]}');
SELECT pg_temp.poll('b') LIKE 'right: %';
SELECT presence.forget_book('b') > 0;
SELECT pg_temp.poll('b');
SELECT added FROM presence.join_room('reader', 'b', 'tab');
SELECT pg_temp.poll('b');
-- more than is remembered: the whole list, as for a version that never was
SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'user-' || i FROM generate_series(1, 200) AS i), array_fill('b'::text, '{200}'), NULL, NULL);
SELECT left(pg_temp.poll('b'), 6);
SELECT jsonb_array_length(members), added, removed FROM presence.poll_room_changes('reader', 'b', 'tab', -1);
SELECT jsonb_array_length(members), added, removed FROM presence.poll_room_changes('reader', 'b', 'tab', 0);
SELECT jsonb_array_length(members), added, removed FROM presence.poll_room_changes('reader', 'b', 'tab', 9223372036854775807);
-- in the order of the list
SELECT jsonb_agg(m -> 'joined_at' ORDER BY n) = jsonb_agg(m -> 'joined_at' ORDER BY m ->> 'joined_at')
FROM presence.poll_room_changes('reader', 'b', 'tab') AS p, jsonb_array_elements(p.members) WITH ORDINALITY AS e(m, n);
-- the arguments are those of poll_room
\set VERBOSITY sqlstate
SELECT presence.poll_room_changes(NULL, 'b');
SELECT presence.poll_room_changes('reader', 'b b');
SELECT presence.poll_room_changes('reader', 'b', repeat('c', 129));
BEGIN READ ONLY;
SELECT presence.poll_room_changes('reader', 'b', 'tab');
ROLLBACK;
\set VERBOSITY default
SELECT presence.forget_book('b');
