-- Who may do what.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
CREATE ROLE presence_test_app;
CREATE ROLE presence_test_gateway;
CREATE ROLE presence_test_monitor;
CREATE ROLE presence_test_stranger;
INSERT INTO presence.pusher_app VALUES ('1', 'key', 'the secret');
SELECT presence.grant_app('presence_test_app');
SELECT presence.grant_gateway('presence_test_gateway');
SELECT presence.grant_monitor('presence_test_monitor');
SELECT presence.grant_app('no_such_role');
-- the functions that each may call
SELECT p.proname, string_agg(replace(r.rolname, 'presence_test_', ''), ' ' ORDER BY r.rolname) AS roles
FROM pg_proc p LEFT JOIN pg_roles r ON r.rolname LIKE 'presence_test_%' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
WHERE p.pronamespace = 'presence'::regnamespace GROUP BY p.oid, p.proname ORDER BY p.proname;
-- the tables and views that each may read; nobody may write one
SELECT c.relname, string_agg(replace(r.rolname, 'presence_test_', ''), ' ' ORDER BY r.rolname) AS readers
FROM pg_class c LEFT JOIN pg_roles r ON r.rolname LIKE 'presence_test_%' AND has_table_privilege(r.oid, c.oid, 'SELECT')
WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind IN ('r', 'v') GROUP BY c.relname ORDER BY c.relname;
SELECT c.relname, r.rolname FROM pg_class c, pg_roles r
WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind IN ('r', 'v') AND r.rolname LIKE 'presence_test_%'
	AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE');
-- an application server
SET ROLE presence_test_app;
SELECT added FROM presence.join_room('ann', 'b');
SELECT user_id FROM presence.room_members('b');
SELECT presence.pusher_authorize_channel('ann', '1.1', 'presence-room-b') IS NOT NULL AS signed;
SELECT * FROM presence.room_presence;
SELECT * FROM presence.pusher_app;
SELECT * FROM presence.pusher_apps();
INSERT INTO presence.room_presence (user_id, book_id) VALUES ('forged', 'b');
SELECT presence.sweep();
SELECT presence.purge_history('0');
SELECT presence.grant_app('presence_test_stranger');
-- a gateway
SET ROLE presence_test_gateway;
SELECT added FROM presence.join_rooms('{ben}', '{b}', NULL, NULL);
SELECT key, secret FROM presence.pusher_apps();
SELECT secret FROM presence.pusher_app;
SELECT presence.sweep();
-- an operator who only looks
SET ROLE presence_test_monitor;
SELECT room, members, connections FROM presence.rooms;
SELECT user_id, connections FROM presence.online ORDER BY user_id;
SELECT members, connections FROM presence.stats;
SELECT presence.join_room('eve', 'b');
-- anybody else
SET ROLE presence_test_stranger;
SELECT presence.room_members('b');
RESET ROLE;
-- pg_read_all_data is not enough for a secret
GRANT pg_read_all_data TO presence_test_stranger;
SET ROLE presence_test_stranger;
SELECT * FROM presence.pusher_app;
RESET ROLE;
-- a hostile search_path changes nothing, also not that of the first call of a session
CREATE SCHEMA evil;
CREATE FUNCTION evil.no(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil operator'; END $$;
CREATE FUNCTION evil.no(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil operator'; END $$;
CREATE FUNCTION evil.no(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil operator'; END $$;
CREATE OPERATOR evil.= (FUNCTION = evil.no, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR evil.= (FUNCTION = evil.no, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR evil.< (FUNCTION = evil.no, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE OPERATOR evil.> (FUNCTION = evil.no, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE OPERATOR evil.<= (FUNCTION = evil.no, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil function'; END $$;
CREATE FUNCTION evil.max(timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil function'; END $$;
CREATE FUNCTION evil.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil function'; END $$;
CREATE TABLE evil.room_presence (id int);
CREATE TABLE evil.connection (id int);
\c -
SET search_path = evil, pg_catalog;
SELECT added FROM presence.join_room('cy', 'b', 't');
SELECT added FROM presence.join_room('cy', 'b', 't2', '{"a": 1}', true);
SELECT user_id FROM presence.room_members('b') OFFSET 2;
SELECT presence.touch_room('cy', 'b', 't');
SELECT joined FROM presence.poll_room('cy', 'b', 't');
SELECT joined FROM presence.poll_room_changes('cy', 'b', 't');
SELECT presence.member_count('b');
SELECT book_id FROM presence.user_rooms('cy');
SELECT count(connection) FROM presence.join_rooms('{dee}', '{b}', '{x}', NULL) \gset
SELECT presence.touch(array_agg(connection)) FROM presence.join_rooms('{dee}', '{b}', '{x}', NULL);
SELECT presence.drop_connections(array_agg(connection)) FROM presence.join_rooms('{dee}', '{b}', '{x}', NULL);
SELECT presence.leave_room('cy', 'b', 't'), presence.leave_room('cy', 'b');
SELECT count(*) FROM presence.members_at('b', pg_catalog.now());
SELECT members FROM presence.peak_members('b', '-infinity');
SELECT presence.time_in_room('cy', 'b') >= '0';
SELECT stays, users FROM presence.average_stay('b');
SELECT pg_catalog.sum(joins) FROM presence.busiest_hours('b', pg_catalog.now() OPERATOR(pg_catalog.-) '1 h'::pg_catalog.interval);
SELECT pg_catalog.max(members) FROM presence.peak_members_by_day('b', pg_catalog.now() OPERATOR(pg_catalog.-) '1 h'::pg_catalog.interval);
SELECT * FROM presence.largest_rooms(1);
SELECT presence.pusher_auth_signature('1.1', 'x') IS NOT NULL;
SELECT presence.sweep(pg_catalog.now() OPERATOR(pg_catalog.+) '1 h');
SELECT presence.purge_history('100 years'), presence.forget_user('cy'), presence.forget_book('b');
SELECT count(*) FROM presence.online;
SELECT members FROM presence.stats;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA evil CASCADE;
DELETE FROM presence.pusher_app;
REVOKE pg_read_all_data FROM presence_test_stranger;
DROP OWNED BY presence_test_app, presence_test_gateway, presence_test_monitor, presence_test_stranger;
DROP ROLE presence_test_app, presence_test_gateway, presence_test_monitor, presence_test_stranger;
-- an owner who alters the tables gets an error, and nobody a crash
ALTER TABLE presence.pusher_app ALTER secret TYPE integer USING 1;
INSERT INTO presence.pusher_app VALUES ('1', 'key', 5);
ALTER TABLE presence.pusher_app DISABLE TRIGGER USER;
INSERT INTO presence.pusher_app VALUES ('1', 'key', 5);
\set VERBOSITY terse
SELECT presence.pusher_auth_signature('1.1', 'x');
\set VERBOSITY default
DELETE FROM presence.pusher_app;
ALTER TABLE presence.pusher_app ENABLE TRIGGER USER;
ALTER TABLE presence.pusher_app ALTER secret TYPE text COLLATE "C";
ALTER TABLE presence.room_presence ALTER user_info SET NOT NULL, ALTER joined_at DROP NOT NULL;
INSERT INTO presence.room_presence (user_id, book_id, joined_at, user_info) VALUES ('ann', 'b', NULL, '{}');
SELECT presence.leave_room('ann', 'b');
TRUNCATE presence.room_presence;
ALTER TABLE presence.room_presence ALTER user_info DROP NOT NULL, ALTER joined_at SET NOT NULL;
-- nor do triggers of his that keep a row from being written
CREATE FUNCTION keep_away() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
\set VERBOSITY terse
CREATE TRIGGER keep_away BEFORE INSERT ON presence.room_presence FOR EACH ROW EXECUTE FUNCTION keep_away();
SELECT presence.join_room('ann', 'b');
SELECT * FROM presence.join_rooms('{ann}', '{b}', NULL, NULL);
DROP TRIGGER keep_away ON presence.room_presence;
SELECT added FROM presence.join_room('ann', 'b');
CREATE TRIGGER keep_away BEFORE UPDATE ON presence.room_presence FOR EACH ROW EXECUTE FUNCTION keep_away();
SELECT presence.leave_room('ann', 'b');
DROP TRIGGER keep_away ON presence.room_presence;
CREATE TEMP TABLE app (app_id text, key text, secret text);
CREATE TRIGGER wrong BEFORE INSERT ON app FOR EACH STATEMENT EXECUTE FUNCTION presence.pusher_app_check();
INSERT INTO app VALUES ('1', 'key', 'secret');
DROP FUNCTION keep_away;
SELECT presence.forget_user('ann');
