-- Plans are kept for the session, and survive the extension.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
SELECT added FROM presence.join_room('ann', 'b', 't');
SELECT user_id FROM presence.room_members('b');
SELECT presence.touch_room('ann', 'b', 't'), presence.leave_room('ann', 'b', 't');
DROP EXTENSION presence;
SELECT presence.member_count('b');
CREATE EXTENSION presence;
SELECT added FROM presence.join_room('ann', 'b', 't');
SELECT user_id FROM presence.room_members('b');
SELECT presence.touch_room('ann', 'b', 't'), presence.leave_room('ann', 'b', 't');
-- called by functions and triggers of the app, which use SPI themselves
CREATE FUNCTION read_book(reader text, book text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	PERFORM presence.join_room(reader, book);
	BEGIN
		PERFORM presence.join_room(reader, 'not a book');
	EXCEPTION WHEN invalid_parameter_value THEN
		NULL;
	END;
	RETURN presence.member_count(book);
END $$;
SELECT read_book('ann', 'b'), read_book('ben', 'b');
-- many in one statement
SELECT count(*) FILTER (WHERE added) FROM generate_series(1, 200) AS i, presence.join_room('u' || i % 150, 'crowd', 'c' || i);
SELECT presence.member_count('crowd'), (SELECT sum(connections) FROM presence.room_members('crowd'));
SELECT presence.sweep(now() + interval '1 min');
SELECT presence.member_count('crowd');
DROP FUNCTION read_book;
-- the repeatable reader does right as well
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT added FROM presence.join_room('ann', 'rr', 't1');
SELECT added FROM presence.join_room('ann', 'rr', 't2');
SELECT presence.leave_room('ann', 'rr', 't1'), presence.leave_room('ann', 'rr', 't2');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT added FROM presence.join_room('ann', 'rr', 't1');
SELECT presence.member_count('rr'), presence.leave_room('ann', 'rr');
COMMIT;
SELECT count(*), count(left_at) FROM presence.room_presence WHERE book_id = 'rr';
-- plans made while the tables are empty read no table from end to end
SELECT count(*) FROM (SELECT presence.forget_book(b) FROM unnest('{b,crowd,rr}'::text[]) b) f;
VACUUM ANALYZE presence.room_presence;
VACUUM ANALYZE presence.connection;
SELECT pg_stat_force_next_flush();
\c -
SELECT pg_stat_force_next_flush();
SELECT seq_scan AS before FROM pg_stat_user_tables WHERE relid = 'presence.room_presence'::regclass \gset
SELECT seq_scan AS before_c FROM pg_stat_user_tables WHERE relid = 'presence.connection'::regclass \gset
SELECT added FROM presence.join_room('ann', 'b', 't1');
SELECT added FROM presence.join_room('ann', 'b', 't2');
SELECT presence.leave_room('ann', 'b', 't1'), presence.touch_room('ann', 'b', 't2'), presence.leave_room('ann', 'b');
SELECT presence.drop_connections(array_agg(connection)) FROM presence.join_rooms('{ann,ben}', '{b,b}', NULL, NULL);
SELECT presence.member_count('b'), (SELECT count(*) FROM presence.room_members('b')), (SELECT count(*) FROM presence.user_rooms('ann'));
SELECT joined FROM presence.poll_room('ann', 'b');
SELECT pg_stat_force_next_flush();
SELECT seq_scan - :before AS room_presence FROM pg_stat_user_tables WHERE relid = 'presence.room_presence'::regclass;
SELECT seq_scan - :before_c AS connection FROM pg_stat_user_tables WHERE relid = 'presence.connection'::regclass;
