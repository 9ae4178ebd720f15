-- What is told to the servers of apps.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app; TRUNCATE presence.gateway, presence.gateway_channel;
INSERT INTO presence.pusher_app (app_id, key, secret, room_prefix) VALUES ('1', 'one', 'secret 1', ''), ('1', 'one-b', 'secret 1b', ''), ('2', 'two', 'secret 2', 'b-');
-- times and ids aside
CREATE FUNCTION taken(busy bigint[] DEFAULT '{}', max integer DEFAULT 500) RETURNS TABLE (url text, key text, secret text, n integer, body text) LANGUAGE sql AS $$
	SELECT url, key, secret, cardinality(ids), regexp_replace(body, '"time_ms":\d{13},', '"time_ms":0,') FROM presence.webhook_take(busy, max) ORDER BY webhook $$;
CREATE FUNCTION done() RETURNS integer LANGUAGE sql AS 'SELECT sum(presence.webhook_done(webhook, ids))::integer FROM presence.webhook_take()';
-- without a webhook nothing is written
SELECT added FROM presence.join_room('zoe', 'z');
SELECT count(*) FROM presence.webhook_event;
-- what a webhook may be
\set VERBOSITY terse
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'ftp://a');
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'http:///path');
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'http://:80/path');
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'https://ann:secret@a/');
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', E'https://a/\r\nX: y');
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'https://a/' || repeat('x', 2048));
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', NULL);
INSERT INTO presence.pusher_webhook (app_id, url, events) VALUES ('1', 'https://a', '{member_updated}');
INSERT INTO presence.pusher_webhook (app_id, url, events) VALUES ('1', 'https://a', '{NULL}');
\set VERBOSITY default
INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'https://one.example/hook?a=b@c');
INSERT INTO presence.pusher_webhook (app_id, url, events, key) VALUES ('1', 'http://only-members', '{member_removed}', 'one-b'), ('2', 'http://two', '{channel_vacated,member_added}', NULL);
SELECT key, webhook_events FROM presence.pusher_apps() ORDER BY key;
-- members, in order; the room when it is known
SELECT added FROM presence.join_room('ann', 'b-1');
SELECT added FROM presence.join_room('ann', 'b-1', 'second tab');
SELECT added FROM presence.join_room('ben', 'b-1');
SELECT * FROM taken();
-- again, until it is done
SELECT n FROM taken();
SELECT done();
SELECT * FROM taken();
SELECT presence.leave_room('ann', 'b-1');
SELECT presence.leave_room('ben', 'b-1');
SELECT * FROM taken();
SELECT done();
-- what is rolled back is not told
BEGIN;
SELECT added FROM presence.join_room('ann', 'b-1');
SAVEPOINT s;
SELECT added FROM presence.join_room('ben', 'b-2');
ROLLBACK TO s;
COMMIT;
BEGIN;
SELECT added FROM presence.join_room('cy', 'b-3');
ROLLBACK;
SELECT * FROM taken();
SELECT done();
-- coming and going between two looks is told as such; a room that stays is not
SELECT presence.leave_room('ann', 'b-1');
SELECT added FROM presence.join_room('ben', 'b-1');
SELECT added FROM presence.join_room('ann', 'quick');
SELECT presence.leave_room('ann', 'quick');
SELECT body FROM taken();
SELECT done();
-- who ends by time, by force, with all
SELECT count(*) FROM presence.join_rooms('{u1,u2}', '{many,many}', NULL, NULL);
SELECT done();
SELECT presence.forget_user('u1');
SELECT count(presence.sweep('infinity')) AS swept;
SELECT body FROM taken() LIMIT 1;
SELECT done();
-- a room that had members before there was a webhook
SELECT n FROM taken();
-- channels that are no rooms
SELECT count(*) FROM presence.report_channels('g1', '{1,1}', '{news,private-a}', '{1,2}', true);
SELECT count(*) FROM presence.report_channels('g1', '{1,1}', '{news,private-a}', '{3,0}');
SELECT count(*) FROM presence.report_channels('g2', '{1,2}', '{news,news}', '{1,1}', true);
SELECT count(*) FROM presence.report_channels('g1', '{}', '{}', '{}', true);
SELECT count(*) FROM presence.report_channels('g2', '{1,2}', '{news,news}', '{0,0}');
SELECT * FROM taken();
SELECT done();
-- numbers: the newest, once
UPDATE presence.pusher_webhook SET events = '{subscription_count,client_event}' WHERE url LIKE '%only-members';
SELECT count(*) FROM presence.report_channels('g1', '{1}', '{news}', '{1}');
SELECT count(*) FROM presence.report_channels('g1', '{1}', '{news}', '{2}');
SELECT body FROM taken() OFFSET 1;
SELECT done();
SELECT count(*) FROM presence.report_channels('g1', '{1}', '{news}', '{101}');
SELECT name, due > now() AS later FROM presence.webhook_event;
SELECT * FROM taken();
-- what gateways know
SELECT presence.webhook_emit('{1,2,1}', '{client_event,client_event,cache_miss}', '{private-a,private-a,cache-a}', '{"{\"n\":1}","{\"n\":2}","{\"n\":3}"}');
SELECT * FROM taken();
-- in parts, but whole events; not those that are busy
SELECT presence.webhook_emit(array_agg('1'::text), array_agg('client_event'::text), array_agg('c'::text), array_agg(format('{"n":%s,"x":"%s"}', n, repeat('x', 30000)))) FROM generate_series(1, 5) AS n;
SELECT n, length(body) > 60000 AS large FROM taken();
SELECT n FROM taken('{}', 2);
SELECT n FROM taken((SELECT array_agg(id) FROM presence.pusher_webhook));
-- upkeep
SELECT presence.webhook_tidy(max_events => 2);
SELECT presence.webhook_tidy(max_age => '0');
SELECT presence.webhook_tidy(max_events => 0);
-- what is disabled, or has no key, waits or is not written
UPDATE presence.pusher_webhook SET enabled = false;
SELECT added FROM presence.join_room('ann', 'silent');
SELECT count(*) FROM presence.webhook_event;
UPDATE presence.pusher_webhook SET enabled = true;
SELECT added FROM presence.join_room('ben', 'silent');
UPDATE presence.pusher_app SET enabled = false;
SELECT * FROM taken();
-- channels that a crash took away
UPDATE presence.pusher_app SET enabled = true;
SELECT presence.webhook_tidy(max_age => '0');
TRUNCATE presence.gateway, presence.gateway_channel;
INSERT INTO presence.webhook_channel VALUES ((SELECT id FROM presence.pusher_webhook WHERE url ~ 'one'), 'lost', false), (0, 'nobody', false);
SELECT presence.webhook_tidy();
SELECT count(*) FROM presence.report_channels('g1', '{}', '{}', '{}', true);
SELECT presence.webhook_tidy();
UPDATE presence.gateway SET since = since - interval '31 s';
SELECT presence.webhook_tidy();
SELECT body FROM taken();
SELECT * FROM presence.webhook_channel WHERE NOT room;
-- one session leads
\c -
DELETE FROM presence.pusher_webhook;
SELECT presence.webhook_tidy();
SELECT count(*) FROM presence.webhook_event;
DELETE FROM presence.pusher_app; TRUNCATE presence.gateway, presence.gateway_channel;
SELECT count(presence.forget_user(u)) FROM unnest('{ann,ben,cy,u1,u2,zoe}'::text[]) AS u;
DROP FUNCTION taken, done;
