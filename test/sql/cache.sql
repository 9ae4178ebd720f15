-- The last events of cache channels.
\set SHOW_CONTEXT never
SELECT presence.cache_events('{1,1,2}', '{cache-a,cache-a,cache-a}', '{first,last,other}');
SELECT app_id, channel, message, ttl > 1700 AND ttl <= 1800 AS fresh FROM presence.cached_events('{1,2,1}', '{cache-a,cache-a,cache-none}') ORDER BY app_id;
SELECT presence.cache_events('{1}', '{cache-a}', '{newer}');
SELECT message FROM presence.cached_events('{1}', '{cache-a}');
-- in a transaction that is rolled back there was none
BEGIN;
SELECT presence.cache_events('{1}', '{cache-a}', '{undone}');
ROLLBACK;
SELECT message FROM presence.cached_events('{1}', '{cache-a}');
-- errors
SELECT presence.cache_events('{1}', '{cache-a}', '{}');
SELECT presence.cache_events('{1}', '{}', '{x}');
SELECT presence.cache_events('{1}', '{a b}', '{x}');
SELECT presence.cache_events('{1}', '{cache-a}', '{NULL}');
SELECT presence.cache_events(NULL, '{cache-a}', '{x}');
SELECT presence.cache_events('{1}', '{cache-a}', ARRAY[repeat('x', 131073)]);
SELECT * FROM presence.cached_events('{1}', NULL);
BEGIN READ ONLY;
SELECT presence.cache_events('{1}', '{cache-a}', '{x}');
ROLLBACK;
-- an app has so many; those that were written to longest ago go, of that app
SELECT presence.cache_events(array_agg('3'::text), array_agg('cache-' || n), array_agg('m'::text)) FROM generate_series(1, 10000) AS n;
UPDATE presence.channel_cache SET expires_at = expires_at - interval '1 minute' WHERE app_id = '3' AND channel = 'cache-7';
SELECT presence.cache_events('{3,3}', '{cache-new,cache-9}', '{m,m}');
SELECT count(*), bool_or(channel = 'cache-new') AS new FROM presence.channel_cache WHERE app_id = '3';
SELECT channel FROM presence.cached_events('{3,3}', '{cache-7,cache-new}');
SELECT count(*) FROM presence.channel_cache WHERE app_id <> '3';
-- what has expired is none, and is purged
SELECT presence.purge_cache();
UPDATE presence.channel_cache SET expires_at = statement_timestamp() WHERE app_id = '1';
SELECT count(*) FROM presence.cached_events('{1}', '{cache-a}');
SELECT presence.purge_cache();
SELECT count(*) FROM presence.channel_cache WHERE app_id = '1';
TRUNCATE presence.channel_cache;
