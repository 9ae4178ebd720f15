-- What gateways report of channels that are no rooms, and the sums.
DELETE FROM presence.pusher_app; TRUNCATE presence.gateway, presence.gateway_channel;
INSERT INTO presence.pusher_app (app_id, key, secret, subscription_count) VALUES ('1', 'one', 'x', true), ('2', 'two', 'x', false);
-- who is unknown reports all
SELECT * FROM presence.report_channels('g1', '{1}', '{news}', '{2}');
SELECT app_id, channel, subscriptions FROM presence.report_channels('g1', '{1,2}', '{news,news}', '{2,7}', true);
SELECT app_id, channel, subscriptions FROM presence.report_channels('g2', '{1,1}', '{news,private-a}', '{3,1}', true);
SELECT app_id, channel, subscriptions FROM presence.report_channels('g1', '{1}', '{news}', '{4}') ;
-- nothing is nothing
SELECT count(*) FROM presence.report_channels('g1', '{}', '{}', '{}');
SELECT * FROM presence.channel_counts('1', '{news,private-a,other}') ORDER BY channel;
SELECT * FROM presence.channel_counts('2', '{news}');
SELECT * FROM presence.channel_counts('1', '{news}', 'g1');
SELECT * FROM presence.occupied_channels('1') ORDER BY channel;
SELECT * FROM presence.occupied_channels('1', 'private-');
SELECT * FROM presence.occupied_channels('1', '', 'g2');
-- versions rise
CREATE TEMP TABLE v AS SELECT version FROM presence.report_channels('g1', '{1}', '{news}', '{5}');
SELECT r.version > v.version AS rises, subscriptions FROM v, presence.report_channels('g1', '{1}', '{news}', '{6}') AS r;
-- zero is none
SELECT subscriptions FROM presence.report_channels('g1', '{1}', '{news}', '{0}');
SELECT gateway, subscriptions FROM presence.gateway_channel WHERE channel = 'news' ORDER BY app_id;
-- the whole replaces what was
SELECT channel, subscriptions FROM presence.report_channels('g2', '{1}', '{private-b}', '{1}', true) ORDER BY channel;
-- a gateway that is silent
UPDATE presence.gateway SET seen = seen - interval '29 s' WHERE id = 'g2';
SELECT count(*) FROM presence.report_channels('g1', '{}', '{}', '{}');
UPDATE presence.gateway SET seen = seen - interval '2 s' WHERE id = 'g2';
SELECT channel, subscriptions FROM presence.report_channels('g1', '{}', '{}', '{}');
SELECT count(*) FROM presence.gateway_channel WHERE gateway = 'g2';
SELECT * FROM presence.report_channels('g2', '{}', '{}', '{}');
-- a channel that comes twice: the last one counts
SELECT channel, subscriptions FROM presence.report_channels('g1', '{1,1,1,1}', '{twice,twice,once,once}', '{5,7,0,3}') ORDER BY channel;
SELECT channel, subscriptions FROM presence.report_channels('g1', '{1,1,1,1}', '{twice,twice,once,once}', '{0,2,3,0}') ORDER BY channel;
SELECT channel, subscriptions FROM presence.report_channels('g1', '{1}', '{twice}', '{0}');
-- wrong arguments
SELECT * FROM presence.report_channels('', '{}', '{}', '{}');
SELECT * FROM presence.report_channels(NULL, '{}', '{}', '{}');
SELECT * FROM presence.report_channels('g1', '{1}', '{a,b}', '{1}');
SELECT * FROM presence.report_channels('g1', '{1}', '{NULL}', '{1}');
SELECT * FROM presence.report_channels('g1', '{1}', '{a}', NULL);
SELECT * FROM presence.report_channels('g1', '{{1}}', '{a}', '{1}');
SELECT * FROM presence.channel_counts('1', NULL);
-- a rollback takes it back
BEGIN;
SELECT count(*) FROM presence.report_channels('g1', '{1}', '{gone}', '{1}');
ROLLBACK;
SELECT * FROM presence.channel_counts('1', '{gone}');
-- read-only
BEGIN READ ONLY;
SELECT * FROM presence.occupied_channels('1', 'x');
SELECT * FROM presence.report_channels('g1', '{}', '{}', '{}');
ROLLBACK;
DELETE FROM presence.pusher_app; TRUNCATE presence.gateway, presence.gateway_channel;
