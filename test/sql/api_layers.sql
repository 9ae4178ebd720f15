-- The functions of docs/api-layers.md, as they stand there (but for the names of roles): a browser
-- is who its token says, wherever it may go, and nobody else.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
CREATE ROLE presence_test_anon;
\getenv dir PG_ABS_SRCDIR
\setenv PAGE :dir/../docs/api-layers.md
\set blocks `awk '/^\140\140\140/ { on = /sql$/; next } on' "$PAGE" | sed 's/authenticated/presence_test_user/g; s/presence_api/presence_test_api/g; s/ graphql/ presence_test_graphql/g'`
\set ECHO none
\set QUIET on
\t on
:blocks
\t off
\set ECHO all
\set QUIET off
INSERT INTO profile VALUES ('ann', 'Ann', 'https://example.org/ann.png'), ('eve', 'Eve', NULL);
INSERT INTO book VALUES ('moby-dick', 'ann', true), ('draft', 'ann', false), ('emma', NULL, true);
-- who may call what: nobody PUBLIC, nothing of presence for browsers
SELECT p.proname, string_agg(replace(r.rolname, 'presence_test_', ''), ' ' ORDER BY r.rolname) AS roles, p.prosecdef
FROM pg_proc AS p LEFT JOIN pg_roles AS r ON r.rolname LIKE 'presence_test_%' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
WHERE p.pronamespace = 'api'::regnamespace GROUP BY p.oid, p.proname, p.prosecdef ORDER BY p.proname;
SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'api'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE');
SELECT count(*) FROM pg_proc AS p, pg_roles AS r
WHERE p.pronamespace = 'presence'::regnamespace AND r.rolname IN ('presence_test_anon', 'presence_test_user', 'presence_test_graphql')
	AND has_function_privilege(r.oid, p.oid, 'EXECUTE');
SELECT p.proname FROM pg_proc AS p
WHERE p.pronamespace = 'api'::regnamespace AND NOT coalesce('search_path=""' = ANY (p.proconfig), false);
-- a request, as PostgREST makes it: the claims and the role are the transaction's
\set request 'BEGIN; SELECT set_config(''request.jwt.claims'', :''claims'', true) IS NOT NULL AS request; SET LOCAL ROLE presence_test_user;'
\set claims '{"sub": "ann", "role": "presence_test_user"}'
:request
SELECT added FROM api.join_room('moby-dick', 'tab-1');
SELECT added FROM api.join_room('draft', 'tab-1');
COMMIT;
\set claims '{"sub": "eve"}'
:request
SELECT added FROM api.join_room('moby-dick', 'tab-1');
SELECT user_id, user_info, is_author FROM api.room_members('moby-dick');
SELECT joined, jsonb_array_length(members) AS members FROM api.poll_room('moby-dick', 'tab-1');
SELECT joined, members, version = (SELECT version FROM api.poll_room('moby-dick', 'tab-1')) AS same
FROM api.poll_room('moby-dick', 'tab-1', (SELECT version FROM api.poll_room('moby-dick', 'tab-1')));
SELECT joined FROM api.poll_room('moby-dick', 'tab-of-ann');
COMMIT;
-- her lease is the functions' own
SELECT DISTINCT ttl FROM presence.connections WHERE user_id = 'eve';
-- a room that is not hers, one that is none, none at all
\set VERBOSITY terse
:request
SAVEPOINT s;
SELECT api.join_room('draft', 'tab-1');
ROLLBACK TO s;
SELECT api.poll_room('draft', 'tab-1');
ROLLBACK TO s;
SELECT api.room_members('draft');
ROLLBACK TO s;
SELECT api.join_room('no-such-book', 'tab-1');
ROLLBACK TO s;
SELECT api.join_room(NULL, 'tab-1');
ROLLBACK TO s;
-- nor can she speak for ann, or go around the functions
SELECT presence.join_room('ann', 'moby-dick');
ROLLBACK TO s;
SELECT presence.forget_user('ann');
ROLLBACK TO s;
SELECT presence.room_members('draft');
ROLLBACK TO s;
SELECT * FROM presence.room_presence;
ROLLBACK TO s;
SELECT api.check_room('ann', 'draft');
ROLLBACK TO s;
SELECT api.me();
ROLLBACK TO s;
-- leaving ann's tab, of the same name, leaves her own
SELECT api.leave_room('moby-dick', 'tab-1') AS left, api.leave_room('draft', 'tab-1') AS hers;
SELECT user_id FROM api.room_members('moby-dick');
-- no name is not all of them
SELECT added FROM api.join_room('moby-dick', 'tab-1');
SELECT api.leave_room('moby-dick', NULL);
-- tables and functions of her own change nothing
CREATE TEMP TABLE book (slug text, author_id text, published boolean);
INSERT INTO book VALUES ('draft', 'eve', true);
SET LOCAL search_path = pg_temp, public;
SAVEPOINT t;
SELECT api.join_room('draft', 'tab-1');
ROLLBACK TO t;
SELECT is_author FROM api.room_members('moby-dick') WHERE user_id = 'eve';
COMMIT;
-- tabs are bounded; one that is there may be renewed
:request
SELECT count(added) FROM generate_series(2, 10) AS i, LATERAL api.join_room('moby-dick', 'tab-' || i);
SAVEPOINT s;
SELECT api.join_room('moby-dick', 'tab-11');
ROLLBACK TO s;
SELECT added FROM api.join_room('moby-dick', 'tab-10');
COMMIT;
-- nobody: no claims, those of a request before, a token without a user
\set claims ''
:request
SELECT api.join_room('moby-dick', 'tab-1');
ROLLBACK;
\set claims '{"role": "presence_test_user"}'
:request
SELECT api.room_members('moby-dick');
ROLLBACK;
BEGIN; SET LOCAL ROLE presence_test_anon;
SELECT api.join_room('moby-dick', 'tab-1');
ROLLBACK;
-- a GET is a read-only transaction: it lists, it does not beat
\set claims '{"sub": "ann"}'
BEGIN READ ONLY; SELECT set_config('request.jwt.claims', :'claims', true) IS NOT NULL AS request; SET LOCAL ROLE presence_test_user;
SELECT user_id FROM api.room_members('moby-dick') ORDER BY user_id;
SELECT joined FROM api.poll_room('moby-dick', 'tab-1');
ROLLBACK;
-- Hasura: one role for all, the session as an argument
SET ROLE presence_test_graphql;
SELECT room, added FROM api.join_seat('{"x-hasura-role": "user", "x-hasura-user-id": "ben"}', 'emma', 'tab-1');
SELECT room, added FROM api.join_seat('{"x-hasura-role": "anonymous"}', 'emma', 'tab-1');
SELECT presence.join_room('ann', 'emma');
RESET ROLE;
SELECT user_id, user_info FROM presence.room_members('emma');
\set VERBOSITY default
-- all of it is forgotten with the user, whoever deletes him
CREATE TRIGGER forget AFTER DELETE ON profile FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'user_id');
GRANT SELECT, DELETE ON profile TO presence_test_user;
SET ROLE presence_test_user;
DELETE FROM profile WHERE user_id = 'eve';
RESET ROLE;
SELECT count(*) FROM presence.room_presence WHERE user_id = 'eve';
SELECT presence.forget_book(b) > 0 AS forgotten FROM unnest('{moby-dick,draft,emma}'::text[]) AS b;
SET client_min_messages = warning;
DROP SCHEMA api CASCADE;
DROP TABLE profile, book, public.book;
DROP OWNED BY presence_test_anon, presence_test_user, presence_test_graphql, presence_test_api;
DROP ROLE presence_test_anon, presence_test_user, presence_test_graphql, presence_test_api;
