-- Signatures, against the vectors of Pusher's documentation and server SDKs.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
\set SHOW_CONTEXT never
SELECT presence.pusher_auth_signature('1234.1234', 'private-foobar');
INSERT INTO presence.pusher_app VALUES ('3', '278d425bdf160c739803', '7ad3773142a6692b25b8');
SELECT presence.pusher_auth_signature('1234.1234', 'private-foobar')
	= '278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4' AS same;
SELECT presence.pusher_auth_signature('1234.1234', 'presence-foobar', '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}')
	= '278d425bdf160c739803:afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c' AS same;
SELECT presence.pusher_authenticate_user('12345', '1234.1234')::text
	= '{"auth":"278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba","user_data":"{\"id\":\"12345\"}"}' AS same;
SELECT presence.pusher_sign_request('POST', '/apps/3/events',
	'{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}', NULL, to_timestamp(1353088179))
	= 'auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f'
	'&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c' AS same;
-- the only app may go unnamed, one of several not
INSERT INTO presence.pusher_app VALUES ('4', 'any', 'tofu');
SELECT presence.pusher_auth_signature('123.456', 'test');
SELECT presence.pusher_auth_signature('123.456', 'test', app_key => 'any')
	= 'any:efa6cf7644a0b35cba36aa0f776f3cbf7bb60e95ea2696bde1dbe8403b61bd7c' AS same;
SELECT presence.pusher_auth_signature('1.1', 'test', '"ą§¶™€łü€ß£"', 'any')
	= 'any:2a229263e89d9c50524fd80c2e88be2843379f6931e28995e2cc214282c9db0c' AS same;
SELECT presence.pusher_auth_signature('123.456', 'test', app_key => 'none');
-- a socket id is two numbers; a colon would sign for another channel
SELECT presence.pusher_auth_signature('1:private-x', 'test', app_key => 'any');
SELECT presence.pusher_auth_signature('1.', 'test', app_key => 'any');
SELECT presence.pusher_auth_signature('.1', 'test', app_key => 'any');
SELECT presence.pusher_auth_signature('1.2.3', 'test', app_key => 'any');
SELECT presence.pusher_auth_signature(E'1.2\n', 'test', app_key => 'any');
SELECT presence.pusher_auth_signature(NULL, 'test', app_key => 'any');
SELECT presence.pusher_auth_signature('1.2', 'a:b', app_key => 'any');
-- requests
SELECT presence.pusher_sign_request('GET', '/apps/4/channels', NULL,
	'{"info": "user_count,subscription_count", "filter_by_prefix": "presence-ü &", "n": 5}', to_timestamp(1), 'any');
SELECT presence.pusher_sign_request('GET', '/apps/4/channels', '', NULL, to_timestamp(1), 'any')
	= presence.pusher_sign_request('get', '/apps/4/channels', NULL, '{}', to_timestamp(1), 'any') AS no_body;
SELECT presence.pusher_sign_request('GET', '/x?y', app_key => 'any');
SELECT presence.pusher_sign_request('G T', '/x', app_key => 'any');
SELECT presence.pusher_sign_request('GET', '/x', params => '[]', app_key => 'any');
SELECT presence.pusher_sign_request('GET', '/x', params => '{"a": {}}', app_key => 'any');
SELECT presence.pusher_sign_request('GET', '/x', params => '{"auth_key": "x"}', app_key => 'any');
SELECT presence.pusher_sign_request('GET', '/x', at => 'infinity', app_key => 'any');
DELETE FROM presence.pusher_app WHERE key <> 'any';
-- authorization: one's own channel and rooms, nothing else
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-user-u1');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-user-u2');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-user-u11');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'presence-lobby');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'presence-room-');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-room-moby-dick');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'moby-dick');
SELECT presence.pusher_authorize_channel('', '1.1', 'presence-room-moby-dick');
SELECT presence.pusher_authorize_channel('u1', 'x', 'presence-room-moby-dick');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'presence-room-moby-dick');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'presence-room-moby-dick', '{"name": "Ünn", "n": [1, {"x": null}]}');
-- the bytes signed are the bytes returned
SELECT a->>'auth' = presence.pusher_auth_signature('1.1', 'presence-room-moby-dick', a->>'channel_data') AS same
FROM presence.pusher_authorize_channel('u1', '1.1', 'presence-room-moby-dick', '{"name": "Ünn \"q\" \\"}') AS a;
-- user_info of the open presence
SELECT added FROM presence.join_room('u1', 'moby-dick', user_info => '{"name": "Ann"}');
SELECT (presence.pusher_authorize_channel('u1', '1.1', 'presence-room-moby-dick')->>'channel_data');
SELECT (presence.pusher_authorize_channel('u1', '1.1', 'presence-room-moby-dick', '{"name": "other"}')->>'channel_data');
-- a full room is full for others than its members
SET presence.pusher_max_members = 1;
SELECT presence.pusher_authorize_channel('u1', '1.1', 'presence-room-moby-dick') IS NOT NULL AS member;
SELECT presence.pusher_authorize_channel('u2', '1.1', 'presence-room-moby-dick');
SET presence.pusher_max_members = 0;
SELECT presence.pusher_authorize_channel('u2', '1.1', 'presence-room-moby-dick') IS NOT NULL AS no_limit;
RESET presence.pusher_max_members;
SET presence.channel_prefix = 'presence-';
SELECT presence.pusher_authorize_channel('u2', '1.1', 'presence-lobby') IS NOT NULL AS any_presence_channel;
RESET presence.channel_prefix;
SELECT presence.pusher_authenticate_user('u1', '1.1', '{"name": "Ann"}');
SELECT presence.leave_room('u1', 'moby-dick');
-- a watchlist
SELECT presence.pusher_authenticate_user('u1', '1.1', watchlist => '{u2,"u \"3\""}')->>'user_data' AS user_data;
SELECT presence.pusher_authenticate_user('u1', '1.1', '{"name": "Ann"}', 'any', '{}')->>'user_data' AS user_data;
SELECT presence.pusher_authenticate_user('u1', '1.1', watchlist => array_agg('u' || n)) IS NOT NULL AS signed FROM generate_series(1, 100) AS n;
SELECT presence.pusher_authenticate_user('u1', '1.1', watchlist => array_agg('u' || n)) FROM generate_series(1, 101) AS n;
SELECT presence.pusher_authenticate_user('u1', '1.1', watchlist => '{u2,NULL}');
SELECT presence.pusher_authenticate_user('u1', '1.1', watchlist => '{""}');
-- to watch a room is for whom the application lets
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-watch-room-moby-dick');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-watch-room-moby-dick', watch => true)->>'auth'
	= presence.pusher_auth_signature('1.1', 'private-watch-room-moby-dick') AS same;
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-watch-other-moby-dick', watch => true);
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-watch-room-', watch => true);
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-other', watch => true);
-- encrypted channels
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-encrypted-user-u1');
SELECT presence.pusher_shared_secret('private-encrypted-x');
UPDATE presence.pusher_app SET encryption_master_key = 'c2hvcnQ=';
UPDATE presence.pusher_app SET encryption_master_key = ' ' || repeat('A', 42) || '=';
UPDATE presence.pusher_app SET encryption_master_key = repeat('A', 42) || 'B=';
UPDATE presence.pusher_app SET encryption_master_key = '';
UPDATE presence.pusher_app SET encryption_master_key = encode(sha256('master'), 'base64');
SELECT presence.pusher_shared_secret('private-encrypted-x') = encode(sha256('private-encrypted-x'::bytea || sha256('master')), 'base64') AS same;
SELECT presence.pusher_shared_secret('private-encrypted-x', 'any') = presence.pusher_shared_secret('private-encrypted-y') AS same;
SELECT presence.pusher_shared_secret('private-x');
SELECT presence.pusher_shared_secret(NULL);
SELECT presence.pusher_shared_secret('private-encrypted-x', 'none');
SELECT c AS channel, a->>'auth' = presence.pusher_auth_signature('1.1', c) AS signed, a->>'shared_secret' = presence.pusher_shared_secret(c) AS secret
FROM unnest('{private-encrypted-user-u1,private-encrypted-cache-user-u1}'::text[]) AS c, presence.pusher_authorize_channel('u1', '1.1', c) AS a;
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-cache-user-u1');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-encrypted-user-u2');
SELECT presence.pusher_authorize_channel('u1', '1.1', 'private-encrypted-x');
UPDATE presence.pusher_app SET encryption_master_key = NULL;
-- webhooks
\set body '{"time_ms":1403175510755,"events":[{"channel":"test_channel","name":"channel_vacated"}]}'
SELECT presence.pusher_verify_webhook('any', 'c17257e92037cd7de407ebc1ed174ceb7b2e518db127f44411b9ffc4f5b28cc5', :'body');
SELECT presence.pusher_verify_webhook('any', 'c17257e92037cd7de407ebc1ed174ceb7b2e518db127f44411b9ffc4f5b28cc4', :'body');
SELECT presence.pusher_verify_webhook('any', 'C17257E92037CD7DE407EBC1ED174CEB7B2E518DB127F44411B9FFC4F5B28CC5', :'body');
SELECT presence.pusher_verify_webhook('any', '', :'body'), presence.pusher_verify_webhook('none', '', :'body');
SELECT presence.pusher_verify_webhook('any', NULL, :'body');
SELECT presence.pusher_apply_webhook('any', 'c17257e92037cd7de407ebc1ed174ceb7b2e518db127f44411b9ffc4f5b28cc5', :'body');
SELECT presence.pusher_apply_webhook('any', 'bad', :'body');
-- an app whose webhooks the test can sign: sha256 is in core, HMAC is two of them
CREATE FUNCTION pg_temp.hmac(secret bytea, body bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	inner_pad bytea := '';
	outer_pad bytea := '';
	byte int;
BEGIN
	FOR i IN 0..63 LOOP
		byte := CASE WHEN i < length(secret) THEN get_byte(secret, i) ELSE 0 END;
		inner_pad := inner_pad || set_byte('\x00', 0, byte # 54);
		outer_pad := outer_pad || set_byte('\x00', 0, byte # 92);
	END LOOP;
	RETURN encode(sha256(outer_pad || sha256(inner_pad || body)), 'hex');
END $$;
CREATE FUNCTION pg_temp.webhook(body text) RETURNS integer LANGUAGE sql AS $$
	SELECT presence.pusher_apply_webhook('any', pg_temp.hmac('tofu', convert_to(body, 'UTF8')), body)
$$;
SELECT pg_temp.webhook('{"events": [{"name": "member_added", "channel": "presence-room-b", "user_id": "ann"},
	{"name": "member_added", "channel": "presence-room-b", "user_id": 7},
	{"name": "member_added", "channel": "presence-other", "user_id": "ann"},
	{"name": "cache_miss", "channel": "presence-room-b"}, 5, {"name": 5}]}');
SELECT user_id, connections FROM presence.room_members('b');
-- once is enough
SELECT pg_temp.webhook('{"events": [{"name": "member_added", "channel": "presence-room-b", "user_id": "ann"}]}');
-- who only Pusher has seen stays for a day; who comes himself has his own lease
SELECT presence.sweep(now() + interval '23 h');
SELECT added FROM presence.join_room('ann', 'b', 'tab-1');
SELECT presence.sweep(now() + interval '25 s');
SELECT user_id, leave_reason FROM presence.room_presence WHERE book_id = 'b' ORDER BY id;
SELECT added FROM presence.join_room('ann', 'b', 'tab-1');
SELECT added FROM presence.join_room('ann', 'b', 'tab-2');
SELECT pg_temp.webhook('{"events": [{"name": "member_removed", "channel": "presence-room-b", "user_id": "ann"},
	{"name": "member_removed", "channel": "presence-room-b", "user_id": "nobody"}]}');
SELECT user_id FROM presence.room_members('b');
SELECT added FROM presence.join_room('ann', 'b', 'tab-1');
SELECT added FROM presence.join_room('ann', 'c', 'tab-1');
SELECT pg_temp.webhook('{"events": [{"name": "channel_vacated", "channel": "presence-room-b"}]}');
SELECT book_id, user_id FROM presence.online;
SELECT count(*) FROM presence.connections;
SELECT pg_temp.webhook('{"events": []}'), pg_temp.webhook('{"events": [{"name": "member_added", "channel": "presence-room-b", "user_id": ""}]}');
SELECT pg_temp.webhook('not json');
SELECT pg_temp.webhook('[]');
SELECT pg_temp.webhook('{"events": {}}');
-- a secret is in no error
INSERT INTO presence.pusher_app VALUES (NULL, 'k', 'very secret');
INSERT INTO presence.pusher_app VALUES ('9', '', 'very secret');
INSERT INTO presence.pusher_app VALUES ('9', 'any', 'very secret');
UPDATE presence.pusher_app SET key = NULL;
DELETE FROM presence.pusher_app;
SELECT count(*) FROM (SELECT presence.forget_book(b) FROM unnest('{b,c,moby-dick}'::text[]) b) f;
