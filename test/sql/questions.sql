-- What people ask of the past of a room, by hours and days; and which rooms are large now.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
SET TimeZone = 'UTC';
INSERT INTO presence.room_presence (user_id, book_id, joined_at, left_at, leave_reason) VALUES
	('ann', 'b', '2026-01-01 10:00', '2026-01-01 12:00', 'left'),
	('ben', 'b', '2026-01-01 10:30', '2026-01-01 11:00', 'timeout'),
	('cy',  'b', '2026-01-01 11:00', '2026-01-01 11:00', 'left'),
	('ann', 'b', '2026-01-01 23:30', '2026-01-02 01:30', 'left'),
	('dee', 'b', '2026-01-02 10:15', '2026-01-02 10:30', 'left'),
	('eve', 'b', '2026-01-04 10:00', '2026-01-04 11:00', 'left'),
	('ann', 'other', '2026-01-01 10:00', '2026-01-03 20:00', 'left');
-- an hour of the day is all of that hour in the range: 10:00 to 11:00 of four days
SELECT * FROM presence.busiest_hours('b', '2026-01-01', '2026-01-05') LIMIT 7;
SELECT count(*), sum(average_members) * 4 AS member_hours, sum(joins) FROM presence.busiest_hours('b', '2026-01-01', '2026-01-05');
-- a range that begins and ends within an hour
SELECT * FROM presence.busiest_hours('b', '2026-01-01 10:15', '2026-01-01 11:30');
SELECT * FROM presence.busiest_hours('b', '2026-01-01 10:30', '2026-01-01 10:45');
-- hours of another place, also where they are not full
SELECT * FROM presence.busiest_hours('b', '2026-01-01', '2026-01-05', 'America/New_York') LIMIT 3;
SELECT * FROM presence.busiest_hours('b', '2026-01-01 10:00', '2026-01-01 12:00', 'Asia/Kolkata');
SET TimeZone = 'Asia/Kolkata';
SELECT * FROM presence.busiest_hours('b', '2026-01-01 10:00Z', '2026-01-01 12:00Z');
SET TimeZone = 'UTC';
-- the night on which an hour comes twice, and the one that lacks one
SELECT * FROM presence.busiest_hours('nobody', '2026-03-29 00:00Z', '2026-03-29 03:00Z', 'Europe/Berlin');
INSERT INTO presence.room_presence (user_id, book_id, joined_at, left_at, leave_reason) VALUES
	('ann', 'night', '2026-10-25 00:00', '2026-10-25 01:00', 'left');
SELECT * FROM presence.busiest_hours('night', '2026-10-25 00:00Z', '2026-10-25 02:00Z', 'Europe/Berlin');
-- each day, also without anybody
SELECT * FROM presence.peak_members_by_day('b', '2026-01-01', '2026-01-05');
SELECT * FROM presence.peak_members_by_day('b', '2026-01-01 10:45', '2026-01-02 00:00:01');
SELECT * FROM presence.peak_members_by_day('b', '2026-01-01 12:00', '2026-01-02');
SELECT * FROM presence.peak_members_by_day('b', '2026-01-01', '2026-01-03', 'Asia/Tokyo');
SELECT * FROM presence.peak_members_by_day('nobody', '2026-01-01', '2026-01-02');
-- and the peak of a day is that of peak_members
SELECT d.day FROM presence.peak_members_by_day('b', '2026-01-01', '2026-01-05') AS d,
	presence.peak_members('b', d.day, d.day + 1) AS p WHERE d.members <> p.members OR d.at <> p.at;
-- stays that ended in the range
SELECT * FROM presence.average_stay('b');
SELECT * FROM presence.average_stay('b', '2026-01-01 11:00', '2026-01-02');
SELECT * FROM presence.average_stay('other');
SELECT * FROM presence.average_stay('nobody');
-- no instant
SELECT * FROM presence.busiest_hours('b', '2026-01-02', '2026-01-01');
SELECT * FROM presence.peak_members_by_day('b', '2026-01-02', '2026-01-02');
SELECT * FROM presence.average_stay('b', '2026-01-02', '2026-01-01');
-- who is there counts until now, and the future is not counted
INSERT INTO presence.room_presence (user_id, book_id, joined_at) VALUES ('ann', 'open', now() - interval '90 min');
SELECT sum(joins), bool_and(abs(average_members - 1) < 0.001) AS there FROM presence.busiest_hours('open', now() - interval '90 min', 'infinity');
SELECT DISTINCT members FROM presence.peak_members_by_day('open', now() - interval '90 min', now() + interval '1 year');
SELECT stays FROM presence.average_stay('open');
-- rooms by size
SELECT * FROM presence.largest_rooms();
SELECT count(*) FROM presence.join_rooms('{ann,ben,cy,ann,ben,ann,dee}', '{c,c,c,d,d,e,f}', NULL, NULL);
SELECT * FROM presence.largest_rooms();
SELECT * FROM presence.largest_rooms(2);
BEGIN;
SELECT count(*) FROM presence.join_rooms('{eve,fay}', '{d,d}', NULL, NULL);
SELECT presence.leave_room('ann', 'c');
SELECT * FROM presence.largest_rooms(3);
SELECT * FROM presence.largest_rooms(3) AS l WHERE l.members <> presence.member_count(l.book_id);
ROLLBACK;
SELECT * FROM presence.largest_rooms(3);
-- the limits
CREATE FUNCTION pg_temp.try(command text) RETURNS TABLE (code text, message text, detail text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	code := '00000';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN NEXT;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours(NULL, now())$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b b', now())$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', now(), NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', '-infinity')$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', 'infinity')$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', '2001-01-01', '2011-01-09')$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', '2001-01-01', '2011-01-10')$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', '4713-01-01 BC')$$);
SELECT * FROM pg_temp.try($$SELECT presence.busiest_hours('b', '2026-01-01', '2026-01-02', 'Mars/Olympus')$$);
SELECT * FROM pg_temp.try($$SELECT presence.peak_members_by_day('', now())$$);
SELECT * FROM pg_temp.try($$SELECT presence.peak_members_by_day('b', '-infinity')$$);
SELECT * FROM pg_temp.try($$SELECT presence.peak_members_by_day('b', '2026-01-01', '2026-01-02', 'Mars/Olympus')$$);
SELECT * FROM pg_temp.try($$SELECT presence.average_stay(NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.average_stay('b', NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.average_stay('b', 'infinity', '-infinity')$$);
SELECT * FROM pg_temp.try($$SELECT presence.largest_rooms(NULL)$$);
SELECT * FROM pg_temp.try($$SELECT presence.largest_rooms(0)$$);
\pset format aligned
\pset tuples_only off
SELECT presence.forget_user(u) FROM unnest('{ann,ben,cy,dee,eve}'::text[]) AS u;
