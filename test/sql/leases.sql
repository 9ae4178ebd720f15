-- Leases: heartbeats, sweep(at), linger, batches of connections.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
SET TimeZone = 'UTC';
SELECT connection AS a1, joined_at AS t FROM presence.join_room('ann', 'b', 'tab-1') \gset
SELECT connection AS a2, last_active_at AS t2 FROM presence.join_room('ann', 'b', 'tab-2', ttl => '1 h') \gset
SELECT connection AS b1 FROM presence.join_room('ben', 'b', ttl => '1 min') \gset
-- to the microsecond
SELECT presence.sweep(last_active_at + interval '1 min' - interval '1 us') FROM presence.connections WHERE user_id = 'ben';
SELECT presence.sweep(last_active_at + interval '1 min') FROM presence.connections WHERE user_id = 'ben';
SELECT user_id, leave_reason, left_at - joined_at AS stayed FROM presence.room_presence WHERE user_id = 'ben';
-- one of two leases ends: nobody goes
SELECT presence.sweep(:'t'::timestamptz + interval '25 s');
SELECT connection_id FROM presence.connections;
-- ended at the end of the last lease, not when it was noticed
SELECT presence.sweep(now() + interval '1 day');
SELECT leave_reason, left_at = :'t2'::timestamptz + interval '1 h' AS at_lease_end, last_active_at = :'t2' AS heard
FROM presence.room_presence WHERE user_id = 'ann';
SELECT presence.sweep(now() + interval '1 day');
SELECT presence.sweep();
-- heartbeats move the end
SELECT connection AS a1 FROM presence.join_room('ann', 'b', 'tab-1', ttl => '40 s') \gset
SELECT presence.touch_room('ann', 'b', 'tab-1'), presence.touch_room('ann', 'b', 'tab-9'), presence.touch_room('eve', 'b', 'tab-1');
SELECT last_active_at > joined_at AS fresh, last_active_at AS heard FROM presence.room_members('b') \gset
SELECT :'fresh' AS fresh;
SELECT presence.touch(ARRAY[:a1, 999999, :b1]) = ARRAY[999999, :b1]::bigint[] AS unknown;
SELECT presence.touch('{}');
SELECT last_active_at > :'heard' AS fresher FROM presence.room_members('b');
SELECT last_active_at > :'heard' AS fresher FROM presence.user_rooms('ann');
SELECT last_active_at > :'heard' AS fresher FROM presence.online WHERE user_id = 'ann';
-- by the lease of the join it would have ended
SELECT presence.sweep(joined_at + interval '40 s') FROM presence.room_presence WHERE left_at IS NULL;
SELECT presence.sweep(now() + interval '41 s');
SELECT left_at - last_active_at AS silent, last_active_at > :'heard' AS heard FROM presence.room_presence WHERE user_id = 'ann' ORDER BY id DESC LIMIT 1;
-- linger: a closed socket waits for its reload
SET presence.linger = '40 s';
SELECT connection AS a1 FROM presence.join_room('ann', 'b', 's1') \gset
SELECT presence.drop_connections(ARRAY[:a1]);
SELECT user_id, connections FROM presence.room_members('b');
SELECT presence.touch(ARRAY[:a1]) = ARRAY[:a1]::bigint[] AS unknown, presence.touch_room('ann', 'b', 's1');
SELECT connection <> :a1 AS new_handle, added FROM presence.join_room('ann', 'b', 's1');
SELECT connection_id, stand_in FROM presence.connections;
SELECT connection AS a2, added FROM presence.join_room('ann', 'b', 's2') \gset
SELECT presence.drop_connections(array_agg(id)) FROM presence.connections;
SELECT presence.sweep(now() + interval '41 s');
SELECT leave_reason FROM presence.room_presence WHERE user_id = 'ann' ORDER BY id DESC LIMIT 1;
-- an explicit leave does not linger
SELECT connection AS a1 FROM presence.join_room('ann', 'b', 's1') \gset
SELECT added FROM presence.join_room('ann', 'b', 's2');
SELECT presence.drop_connections(ARRAY[:a1]);
SELECT presence.leave_room('ann', 'b', 's2');
RESET presence.linger;
-- sockets by the handful
SELECT ordinality, user_id, book_id, user_info, added
FROM presence.join_rooms('{zoe,ann,ann,ben}', '{b,b,b,c}', '{s1,s2,s3,s4}',
	ARRAY['{"name": "Zoe"}', NULL, '{"name": "Ann"}', NULL]::jsonb[], '1 min');
SELECT ordinality, added FROM presence.join_rooms('{ann,cy}', '{b,b}', NULL, NULL);
SELECT count(*) FROM presence.join_rooms('{}', '{}', NULL, NULL);
SELECT user_id, user_info, connections FROM presence.room_members('b') ORDER BY user_id;
SELECT presence.drop_connections(array_agg(id)) FROM presence.connections WHERE user_id = 'ann' AND connection_id <> '';
SELECT presence.drop_connections(array_agg(id)) FROM presence.connections WHERE user_id IN ('ann', 'zoe');
SELECT presence.drop_connections('{}'), presence.drop_connections('{424242}');
SELECT user_id FROM presence.online ORDER BY user_id;
-- presences without any connection (after a crash, a restore) get one lease
SELECT count(presence.sweep('infinity')) AS swept;
INSERT INTO presence.room_presence (user_id, book_id) VALUES ('ben', 'c'), ('cy', 'b');
SELECT user_id, connections FROM presence.online ORDER BY user_id;
SELECT presence.sweep(now() + interval '24 s');
SELECT user_id, connections FROM presence.online ORDER BY user_id;
SELECT added FROM presence.join_room('ben', 'c', 'back');
SELECT user_id, stand_in FROM presence.connections ORDER BY user_id;
SELECT presence.sweep(now() + interval '30 s');
SELECT user_id, leave_reason FROM presence.room_presence WHERE user_id IN ('ben', 'cy') ORDER BY id;
-- connections of presences that were ended by hand do not stay either
SELECT added FROM presence.join_room('dee', 'c');
UPDATE presence.room_presence SET left_at = now(), leave_reason = 'removed' WHERE user_id = 'dee';
SELECT presence.sweep(now() + interval '1 day');
SELECT count(*) FROM presence.connections;
-- polling: a list only when it has changed
SELECT added FROM presence.join_room('ann', 'p', 'tab-1', '{"name": "Ann"}', ttl => '40 s');
SELECT version AS v FROM presence.poll_room('ann', 'p', 'tab-1') \gset
SELECT joined, jsonb_path_query_array(members, '$[*].user_id') AS users, members->0->'user_info' AS info FROM presence.poll_room('ann', 'p', 'tab-1');
SELECT version = :v AS same, joined, members FROM presence.poll_room('ann', 'p', 'tab-1', :v);
SET TimeZone = 'Asia/Tokyo';
SELECT version = :v AS same, joined, members FROM presence.poll_room('ann', 'p', 'tab-1', :v);
RESET TimeZone;
SELECT joined, members FROM presence.poll_room('eve', 'p', 'tab-1', :v);
SELECT added FROM presence.join_room('ann', 'p', 'tab-1', '{"name": "Anna"}');
SELECT version = :v AS same, members->0->'user_info' AS info FROM presence.poll_room('ann', 'p', 'tab-1', :v);
SELECT added FROM presence.join_room('ben', 'p');
SELECT version = :v AS same, jsonb_array_length(members) FROM presence.poll_room('ann', 'p', 'tab-1', :v);
SELECT joined, members FROM presence.poll_room('ann', 'empty');
SELECT count(*) FROM (SELECT presence.forget_book(b) FROM unnest('{b,c,p}'::text[]) b) f;
