-- Joining, leaving, tabs, lists.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
SET TimeZone = 'UTC';
SELECT user_id, book_id, joined_at = last_active_at AS fresh, is_author, user_info, added
FROM presence.join_room('ann', 'moby-dick', 'tab-1', '{"name": "Ann"}');
-- a second tab is no second member, and leaves what it does not say as it is
SELECT user_id, is_author, user_info, added FROM presence.join_room('ann', 'moby-dick', 'tab-2');
-- the same tab again keeps its handle
SELECT connection AS first FROM presence.join_room('ann', 'moby-dick', 'tab-1') \gset
SELECT connection = :first AS same, added FROM presence.join_room('ann', 'moby-dick', 'tab-1');
-- what it does say changes the member
SELECT is_author, user_info, added
FROM presence.join_room('ann', 'moby-dick', 'tab-2', '{"name": "Ann B."}', true);
SELECT is_author, user_info FROM presence.join_room('ann', 'moby-dick', 'tab-2', is_author => false);
SELECT user_id, added FROM presence.join_room('ben', 'moby-dick');
SELECT user_id, user_info, is_author, connections FROM presence.room_members('moby-dick');
SELECT presence.member_count('moby-dick'), presence.member_count('nobody-here');
SELECT count(*) FROM presence.room_members('nobody-here');
-- one row, whatever the tabs
SELECT user_id, left_at IS NULL AS open FROM presence.room_presence ORDER BY id;
-- closing one of two tabs removes nobody, an unknown one neither
SELECT presence.leave_room('ann', 'moby-dick', 'tab-1');
SELECT presence.leave_room('ann', 'moby-dick', 'tab-1');
SELECT presence.leave_room('ann', 'moby-dick', 'no-such-tab');
SELECT user_id, connections FROM presence.room_members('moby-dick');
SELECT presence.leave_room('ann', 'moby-dick', 'tab-2');
SELECT presence.leave_room('ann', 'moby-dick', 'tab-2');
SELECT user_id FROM presence.room_members('moby-dick');
-- an explicit leave ends all tabs
SELECT added FROM presence.join_room('ann', 'moby-dick', 'tab-1');
SELECT added FROM presence.join_room('ann', 'moby-dick', 'tab-2');
SELECT presence.leave_room('ann', 'moby-dick');
SELECT presence.leave_room('ann', 'moby-dick');
SELECT presence.leave_room('stranger', 'moby-dick');
SELECT user_id, left_at >= joined_at AS ended, leave_reason FROM presence.room_presence ORDER BY id;
SELECT count(*) FROM presence.connections WHERE user_id = 'ann';
-- one user, several rooms
SELECT added FROM presence.join_room('ben', 'emma', is_author => true);
SELECT book_id, is_author, last_active_at >= joined_at AS active FROM presence.user_rooms('ben');
SELECT count(*) FROM presence.user_rooms('stranger');
-- user ids are bytes: neither case nor form is folded
SELECT added FROM presence.join_room('BEN', 'emma');
SELECT user_id FROM presence.room_members('emma') ORDER BY user_id;
-- in a transaction
BEGIN;
SELECT added FROM presence.join_room('cy', 'emma');
SELECT presence.member_count('emma');
SAVEPOINT s;
SELECT presence.leave_room('cy', 'emma');
SELECT presence.member_count('emma');
ROLLBACK TO s;
SELECT presence.member_count('emma');
ROLLBACK;
SELECT presence.member_count('emma');
-- join and leave in one statement's transaction leave a stay of no length
BEGIN;
SELECT added FROM presence.join_room('cy', 'emma');
SELECT presence.leave_room('cy', 'emma');
SELECT added FROM presence.join_room('cy', 'emma');
COMMIT;
SELECT count(*), count(left_at) FROM presence.room_presence WHERE user_id = 'cy';
-- psql's views
SELECT book_id, user_id, is_author, connections FROM presence.online ORDER BY book_id, user_id;
SELECT room, members, connections, newest >= oldest AS ordered FROM presence.rooms ORDER BY room;
SELECT members, connections FROM presence.stats;
-- in a read-only transaction
BEGIN READ ONLY;
SELECT presence.member_count('emma');
SELECT count(*) FROM presence.room_members('emma');
SELECT presence.join_room('dee', 'emma');
ROLLBACK;
BEGIN READ ONLY;
SELECT presence.leave_room('ben', 'emma');
ROLLBACK;
-- clean up for the next file
SELECT count(*) FROM (SELECT presence.forget_book(b) FROM unnest('{moby-dick, emma}'::text[]) b) f;
