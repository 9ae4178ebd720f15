-- The past, right at its edges.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
SET TimeZone = 'UTC';
INSERT INTO presence.room_presence (user_id, book_id, joined_at, left_at, leave_reason, user_info) VALUES
	('ann', 'b', '2026-01-01 10:00', '2026-01-01 11:00', 'left', '{"name": "Ann"}'),
	('ben', 'b', '2026-01-01 10:30', '2026-01-01 11:00', 'timeout', NULL),
	('cy',  'b', '2026-01-01 11:00', '2026-01-01 11:00', 'left', NULL),
	('ann', 'b', '2026-01-01 11:00', '2026-01-01 12:00', 'left', NULL),
	('dee', 'b', '2026-01-01 11:00', '2026-01-01 11:30', 'left', NULL),
	('eve', 'b', '2026-01-01 11:15', '2026-01-01 11:30', 'left', NULL),
	('ann', 'other', '2026-01-01 10:00', '2026-01-01 20:00', 'left', NULL);
SELECT * FROM presence.members_at('b', '2026-01-01 09:59:59.999999');
SELECT * FROM presence.members_at('b', '2026-01-01 10:00');
SELECT user_id, joined_at, left_at FROM presence.members_at('b', '2026-01-01 10:59:59.999999');
-- who leaves at an instant is gone, who joins is there, a stay of no length is never
SELECT user_id, joined_at FROM presence.members_at('b', '2026-01-01 11:00');
SELECT user_id FROM presence.members_at('b', '2026-01-01 12:00');
SELECT user_id FROM presence.members_at('b', 'infinity');
SELECT user_id FROM presence.members_at('b', '-infinity');
-- the most at one instant, and the first such instant
SELECT * FROM presence.peak_members('b', '-infinity');
SELECT * FROM presence.peak_members('b', '2026-01-01 10:00', '2026-01-01 11:00');
SELECT * FROM presence.peak_members('b', '2026-01-01 10:45', '2026-01-01 11:10');
SELECT * FROM presence.peak_members('b', '2026-01-01 11:00', '2026-01-01 11:10');
SELECT * FROM presence.peak_members('b', '2026-01-01 11:20', '2026-01-01 11:20:00.000001');
SELECT * FROM presence.peak_members('b', '2026-01-01 11:30', '2026-01-01 11:45');
-- nobody; no instant
SELECT * FROM presence.peak_members('b', '2026-01-01 12:00', '2026-01-01 13:00');
SELECT * FROM presence.peak_members('nobody', '2026-01-01 12:00');
SELECT * FROM presence.peak_members('b', '2026-01-01 11:20', '2026-01-01 11:20');
SELECT * FROM presence.peak_members('b', '2026-01-01 11:20', '2026-01-01 11:00');
-- how long
SELECT presence.time_in_room('ann', 'b');
SELECT presence.time_in_room('ann', 'b', '2026-01-01 10:30');
SELECT presence.time_in_room('ann', 'b', '2026-01-01 10:30', '2026-01-01 11:30');
SELECT presence.time_in_room('ann', 'b', '2026-01-01 11:00', '2026-01-01 11:00');
SELECT presence.time_in_room('ann', 'b', '2026-01-01 11:30', '2026-01-01 10:30');
SELECT presence.time_in_room('cy', 'b'), presence.time_in_room('nobody', 'b');
-- an open presence lasts, but not into the future
INSERT INTO presence.room_presence (user_id, book_id, joined_at) VALUES ('ann', 'open', now() - interval '1 h');
SELECT user_id, left_at FROM presence.members_at('open', now());
SELECT user_id, left_at FROM presence.members_at('open', 'infinity');
SELECT members, at = joined_at AS at_join FROM presence.peak_members('open', now() - interval '2 h'), presence.members_at('open', now());
SELECT presence.time_in_room('ann', 'open', until => now() + interval '1 day') BETWEEN '1 h' AND '1 h 1 min' AS until_now,
	presence.time_in_room('ann', 'open', until => now() - interval '30 min') BETWEEN '30 min' AND '31 min' AS clipped,
	presence.time_in_room('ann', 'open', now()) < '1 s' AS just_now;
-- in the transaction of the join
BEGIN;
SELECT added FROM presence.join_room('zoe', 'tx');
SELECT count(*) FROM presence.members_at('tx', statement_timestamp());
SELECT presence.time_in_room('zoe', 'tx') >= '0';
ROLLBACK;
-- purging keeps what is open, and what is young
SELECT presence.purge_history('100 years');
SELECT presence.purge_history('0');
SELECT user_id, book_id FROM presence.room_presence;
-- forgetting does not
SELECT presence.forget_user('ann'), presence.forget_user('ann');
-- an app's own tables
CREATE TABLE app_user (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
CREATE TABLE app_book (id int PRIMARY KEY, slug text);
CREATE TRIGGER forget AFTER DELETE ON app_user FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'id');
CREATE TRIGGER forget AFTER DELETE ON app_book FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('book', 'slug');
INSERT INTO app_user (name) VALUES ('Ann'), ('Ben');
INSERT INTO app_book VALUES (1, 'emma'), (2, NULL), (3, 'no book id!');
SELECT count(*) FROM app_user, presence.join_room(id::text, 'emma');
SELECT count(*) FROM app_user, presence.join_room(id::text, 'dune');
DELETE FROM app_user WHERE name = 'Ann';
SELECT name, book_id FROM presence.room_presence JOIN app_user u ON u.id::text = user_id ORDER BY book_id;
SELECT count(*) FROM presence.room_presence;
DELETE FROM app_book;
SELECT book_id FROM presence.room_presence;
CREATE TRIGGER wrong BEFORE DELETE ON app_user FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'id');
DELETE FROM app_user;
DROP TRIGGER wrong ON app_user;
CREATE TRIGGER wrong AFTER DELETE ON app_user FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('reader', 'id');
DELETE FROM app_user;
DROP TRIGGER wrong ON app_user;
CREATE TRIGGER wrong AFTER DELETE ON app_user FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'no_such');
DELETE FROM app_user;
DROP TRIGGER wrong ON app_user;
CREATE TRIGGER wrong AFTER DELETE ON app_user FOR EACH STATEMENT EXECUTE FUNCTION presence.on_delete_forget('user', 'id');
DELETE FROM app_user;
DROP TABLE app_user, app_book;
SELECT count(*) FROM (SELECT presence.forget_book('dune')) f;
