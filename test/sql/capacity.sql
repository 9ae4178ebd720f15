-- join_room(capacity): who would be one too many is refused, and nobody else.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence;
SELECT presence.join_room('ann', 'b', capacity => 0);
SELECT presence.join_room('ann', 'b', capacity => -1);
SELECT added FROM presence.join_room('ann', 'b', 'tab-1', capacity => 2);
SELECT added FROM presence.join_room('ben', 'b', capacity => 2);
SELECT added FROM presence.join_room('cy', 'b', capacity => 2);
\echo :LAST_ERROR_SQLSTATE
-- nothing of him is there
SELECT user_id FROM presence.room_members('b') ORDER BY user_id;
SELECT count(*) FROM presence.connections WHERE user_id = 'cy';
-- a member is never refused: a second tab, a renewal
SELECT added FROM presence.join_room('ann', 'b', 'tab-2', capacity => 2);
SELECT added FROM presence.join_room('ann', 'b', 'tab-1', capacity => 1);
-- no limit, no refusal; another room is another one
SELECT added FROM presence.join_room('dee', 'b');
SELECT added FROM presence.join_room('cy', 'c', capacity => 1);
-- a place is free when somebody leaves, and not when that is undone
SELECT presence.leave_room('dee', 'b');
BEGIN;
SELECT presence.leave_room('ben', 'b');
SELECT added FROM presence.join_room('cy', 'b', capacity => 2);
ROLLBACK;
SELECT added FROM presence.join_room('cy', 'b', capacity => 2);
SELECT presence.leave_room('ben', 'b');
SELECT added FROM presence.join_room('cy', 'b', capacity => 2);
SELECT user_id FROM presence.room_members('b') ORDER BY user_id;
-- one whose lease has ended takes no place
SELECT presence.leave_room('cy', 'b');
SELECT added FROM presence.join_room('ben', 'b', ttl => '1 s', capacity => 2);
SELECT presence.sweep(now() + '2 s');
SELECT added FROM presence.join_room('cy', 'b', capacity => 2);
SELECT presence.forget_book('b'), presence.forget_book('c');
