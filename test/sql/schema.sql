-- What CREATE EXTENSION makes: nothing for PUBLIC, a manual for everybody.
\d presence.room_presence
\d presence.connection
\d presence.pusher_app
SELECT c.relname, c.relpersistence FROM pg_class c
WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind IN ('r', 'S')
ORDER BY c.relname;
\pset format unaligned
SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments,
	pg_get_function_result(p.oid) AS result, p.provolatile
FROM pg_proc p WHERE p.pronamespace = 'presence'::regnamespace ORDER BY p.proname;
\pset format aligned
-- each function, table, column and view says what it is
SELECT p.proname FROM pg_proc p
WHERE p.pronamespace = 'presence'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind IN ('r', 'v', 'S')
	AND obj_description(c.oid, 'pg_class') IS NULL AND c.relname <> 'room_presence_id_seq';
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
	AND col_description(c.oid, a.attnum) IS NULL
	AND a.attname NOT IN ('user_id', 'book_id');
-- nothing is granted to PUBLIC
SELECT p.proname FROM pg_proc p
WHERE p.pronamespace = 'presence'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE');
SELECT has_schema_privilege('public', 'presence', 'USAGE');
-- the settings, with unit and context
SELECT presence.member_count('x'); -- loads the library
SELECT name, setting, unit, context, short_desc FROM pg_settings WHERE name LIKE 'presence.%' AND name NOT IN ('presence.memory_limit', 'presence.max_databases') ORDER BY name;
SET presence.channel_prefix = 'private-';
SET presence.channel_prefix = 'presence-room:';
SET presence.channel = '';
\set VERBOSITY sqlstate
SET presence.timeout = 0;
SET presence.timeout = '2d';
\set VERBOSITY default
SET presence.typo = 1;
-- fixed schema
ALTER EXTENSION presence SET SCHEMA public;
