-- Bad input: a clear error each, with its SQLSTATE, and nothing is changed.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
SELECT presence.member_count('x');
CREATE FUNCTION pg_temp.try(command text) RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	code := '00000';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END $$;
\pset format unaligned
\pset tuples_only on
-- user_id
SELECT * FROM pg_temp.try($$SELECT presence.join_room('', 'b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room(repeat('u', 128), 'b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room(repeat('ü', 128), 'b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room(repeat('ü', 129), 'b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room(NULL, 'b')$$);
-- book_id
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', '')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'a b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'a:b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'bücher')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', repeat('b', 150))$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'AZaz09_-=@,.;')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', repeat('b', 151))$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', NULL)$$);
-- connection_id
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', repeat('c', 129))$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', NULL)$$);
-- user_info: 1024 bytes in compact form, however it is written
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', user_info => '[1]')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', user_info => '"x"')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', user_info => 'null')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', user_info => jsonb_build_object('a', repeat('x', 1016)))$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', user_info => jsonb_build_object('a', repeat('x', 1017)))$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', user_info => jsonb_build_object('a', repeat('"', 508)))$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', user_info => jsonb_build_object('a', repeat('"', 509)))$$);
-- ttl
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', ttl => '999 ms')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', ttl => '1 s')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', ttl => '1 day')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', ttl => '1 day 1 us')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', ttl => '-1 s')$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_room('u', 'b', ttl => '1 mon -30 days 10 s')$$);
-- the other functions check the same
SELECT * FROM pg_temp.try($$SELECT presence.leave_room('', 'b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.leave_room('u', 'b b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.leave_room('u', 'b', repeat('c', 129))$$);
SELECT * FROM pg_temp.try($$SELECT presence.room_members(NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.room_members('')$$);
SELECT * FROM pg_temp.try($$SELECT presence.member_count('b/b')$$);
SELECT * FROM pg_temp.try($$SELECT presence.user_rooms('')$$);
SELECT * FROM pg_temp.try($$SELECT presence.touch_room('u', '')$$);
SELECT * FROM pg_temp.try($$SELECT presence.touch(NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.touch('{1,NULL}')$$);
SELECT * FROM pg_temp.try($$SELECT presence.drop_connections('{NULL}')$$);
SELECT * FROM pg_temp.try($$SELECT presence.poll_room('u', NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.sweep(NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.purge_history(NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.purge_history('-1 day')$$);
SELECT * FROM pg_temp.try($$SELECT presence.forget_user(NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.forget_book('')$$);
SELECT * FROM pg_temp.try($$SELECT presence.members_at('b', NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.peak_members('b', NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.time_in_room('u', 'b', NULL)$$);
-- batches: all or nothing
SELECT * FROM pg_temp.try($$SELECT presence.join_rooms('{a,b}', '{x}', NULL, NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_rooms('{a,NULL}', '{x,y}', NULL, NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_rooms('{a,b}', '{x,y z}', NULL, NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_rooms('{a,b}', '{x,y}', '{c}', NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_rooms('{a,b}', '{x,y}', NULL, ARRAY['{}', '[]']::jsonb[])$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_rooms(NULL, '{x}', NULL, NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.join_rooms('{a}', '{x}', NULL, NULL, '2 days')$$);
\pset format aligned
\pset tuples_only off
-- nobody came of all the errors
SELECT DISTINCT length(user_id) AS user_chars, length(book_id) AS book_chars FROM presence.room_presence ORDER BY 1, 2;
SELECT count(*) FROM (SELECT presence.forget_user(u) FROM (SELECT DISTINCT user_id FROM presence.room_presence) AS p(u)) AS f;
