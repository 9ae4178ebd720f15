-- Rooms spread over nodes: without Citus, and with a catalogue that looks like that of Citus.
-- The cluster itself is in test/t/050_citus.pl.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence;
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, CASE WHEN SQLSTATE <> 'PR001' THEN nullif(hint, '') END);
END
$$;
SELECT pg_temp.try('SELECT presence.shard_with_citus()');
SELECT pg_temp.try('SELECT presence.unshard_from_citus()');
SELECT presence.is_sharded();
SELECT * FROM presence.room_node('b');
SELECT * FROM presence.room_node(NULL);
SELECT * FROM presence.shards();
SELECT * FROM presence.on_all_nodes('SELECT n, n + 1 AS more FROM generate_series(1, 2) AS n');
SELECT * FROM presence.on_all_nodes('SELECT 1 WHERE false');
SELECT pg_temp.try('SELECT presence.on_all_nodes(NULL)');
SELECT pg_temp.try($$SELECT presence.on_all_nodes('SELECT 1/0')$$);
-- who sets it has no cluster for it
SET presence.moved_rooms = on;
SELECT count(*) FROM presence.members_at('b', now());
RESET presence.moved_rooms;

-- this node has the rooms whose hash is not negative
SELECT hashtext('there') < 0 AS there, hashtext('here') >= 0 AS here;
SELECT added FROM presence.join_room('ann', 'there', ttl => '1 h');
SELECT added FROM presence.join_room('ann', 'here', ttl => '1 h');
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass);
CREATE TABLE pg_catalog.pg_dist_local_group (groupid integer);
CREATE TABLE pg_catalog.pg_dist_node (groupid integer, nodename text, nodeport integer, noderole text);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint, shardminvalue text, shardmaxvalue text);
CREATE TABLE pg_catalog.pg_dist_placement (shardid bigint, groupid integer);
RESET allow_system_table_mods;
INSERT INTO pg_dist_local_group VALUES (7);
INSERT INTO pg_dist_node VALUES (7, 'here', 5432, 'primary'), (8, 'there', 5433, 'primary'), (8, 'standby', 5434, 'secondary');
INSERT INTO pg_dist_partition VALUES ('presence.room_shard');
INSERT INTO pg_dist_shard VALUES ('presence.room_shard', 1, '-2147483648', '-1'), ('presence.room_shard', 2, '0', '2147483647'),
	('presence.room_presence', 3, '-2147483648', '2147483647');
INSERT INTO pg_dist_placement VALUES (1, 8), (2, 7), (3, 8);
-- Citus says so by an invalidation of room_shard
ALTER TABLE presence.room_shard SET (autovacuum_enabled = off);
SELECT presence.is_sharded();
SELECT * FROM presence.room_node('here');
SELECT * FROM presence.room_node('there');
SELECT * FROM presence.shards();
-- of a node that Citus does not name
BEGIN;
DELETE FROM pg_dist_node WHERE nodename = 'there';
ALTER TABLE presence.room_shard RESET (autovacuum_enabled);
SELECT * FROM presence.shards();
SELECT * FROM presence.room_node('there');
ROLLBACK;
SELECT presence.leave_room('ann', 'here', 'no such tab');
SELECT presence.join_room('ann', 'there');
SELECT pg_temp.try(replace(call, '()', $$('ann', 'there')$$)) FROM unnest(ARRAY[
	'SELECT presence.join_room()', 'SELECT presence.leave_room()', 'SELECT presence.touch_room()',
	'SELECT presence.poll_room()', 'SELECT presence.poll_room_changes()', 'SELECT presence.time_in_room()']) AS call;
SELECT pg_temp.try(replace(call, '?', $$'there'$$)) FROM unnest(ARRAY[
	'SELECT presence.room_members(?)', 'SELECT presence.member_count(?)', 'SELECT presence.members_at(?, now())',
	'SELECT presence.peak_members(?, now())', 'SELECT presence.peak_members_by_day(?, now())', 'SELECT presence.busiest_hours(?, now())',
	'SELECT presence.average_stay(?)', 'SELECT presence.forget_book(?)',
	'SELECT presence.join_rooms(ARRAY[''ann'', ''ben''], ARRAY[''here'', ?], NULL, NULL)']) AS call;
SELECT user_id FROM presence.room_members('here');
-- the functions that are about one room, and are refused
SELECT f FROM presence.room_functions() AS f ORDER BY f::text COLLATE "C";
-- the past, when it is to be put together with that of other nodes
SET presence.moved_rooms = on;
SELECT presence.time_in_room('ann', 'there') > '0';
SELECT pg_temp.try($$SELECT presence.member_count('there')$$);
RESET presence.moved_rooms;
-- who is in a room that is another node's now is ended, however long the lease
SELECT count(presence.sweep()) AS swept;
SELECT book_id, leave_reason FROM presence.room_presence ORDER BY book_id;
SELECT book_id FROM presence.user_rooms('ann');
-- triggers
CREATE TEMP TABLE reader (id text);
CREATE TRIGGER forget AFTER DELETE ON reader FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'id');
INSERT INTO reader VALUES ('ann');
DELETE FROM reader;
CREATE TEMP TABLE book (id text);
CREATE TRIGGER forget AFTER DELETE ON book FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('book', 'id');
INSERT INTO book VALUES ('here'), ('there');
DELETE FROM book WHERE id = 'there';
DELETE FROM book WHERE id = 'here';
-- the room comes here
UPDATE pg_dist_placement SET groupid = 7 WHERE shardid = 1;
ALTER TABLE presence.room_shard RESET (autovacuum_enabled);
SELECT first_hash, nodename, is_local FROM presence.shards();
SELECT added FROM presence.join_room('ann', 'there');
-- and there is no cluster any more
SET allow_system_table_mods = on;
DROP TABLE pg_catalog.pg_dist_partition, pg_catalog.pg_dist_local_group, pg_catalog.pg_dist_node, pg_catalog.pg_dist_shard, pg_catalog.pg_dist_placement;
RESET allow_system_table_mods;
ALTER TABLE presence.room_shard SET (autovacuum_enabled = off);
ALTER TABLE presence.room_shard RESET (autovacuum_enabled);
SELECT presence.is_sharded(), count(s) AS shards FROM presence.shards() AS s;
SELECT presence.leave_room('ann', 'there');
SELECT presence.forget_user('ann') > 0 AS forgotten;
