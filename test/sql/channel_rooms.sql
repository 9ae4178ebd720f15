-- Rooms of Pusher channels that are no books': no history, and no way in by the channel of a book.
SELECT count(presence.sweep('infinity')) AS swept;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
\set SHOW_CONTEXT never
INSERT INTO presence.pusher_app (app_id, key, secret, presence_channels) VALUES ('1', 'key', 'secret', 'maybe');
INSERT INTO presence.pusher_app (app_id, key, secret, presence_channels) VALUES ('1', 'key', 'secret', NULL);
INSERT INTO presence.pusher_app (app_id, key, secret, presence_channels) VALUES ('1', 'key', 'secret', 'allow');
UPDATE presence.pusher_app SET max_listed_members = -1;
UPDATE presence.pusher_app SET max_listed_members = 1001;
SELECT presence.pusher_authorize_channel('ann', '1.1', 'presence-room-@1;chat-1');
SELECT presence.pusher_authorize_channel('ann', '1.1', 'private-watch-room-@1;chat-1', watch => true);
SELECT presence.pusher_authorize_channel('ann', '1.1', 'presence-room-@1.chat-1') IS NOT NULL AS a_book;
SELECT added FROM presence.join_room('ann', '@1;chat-1', 'tab-1', '{"name": "Ann"}');
SELECT added FROM presence.join_room('ann', '@1;chat-1', 'tab-2');
SELECT added FROM presence.join_rooms('{ben,ben,cat}', '{@1;chat-1,book,@1;chat-1}', NULL, NULL);
SELECT user_id, connections FROM presence.room_members('@1;chat-1');
SELECT presence.leave_room('ann', '@1;chat-1', 'tab-1'), presence.leave_room('ann', '@1;chat-1', 'tab-2');
SELECT user_id, book_id, left_at IS NULL AS here FROM presence.room_presence ORDER BY id;
-- in a transaction that is rolled back he has not left
BEGIN;
SELECT presence.leave_room('ben', '@1;chat-1');
ROLLBACK;
SELECT presence.member_count('@1;chat-1');
-- nor is one kept whose lease ends, or who is dropped with others
SELECT presence.drop_connections(array_agg(id)) FROM presence.connections WHERE user_id = 'cat';
SELECT user_id, book_id, left_at IS NULL AS here FROM presence.room_presence ORDER BY id;
SELECT presence.sweep(now() + interval '1 h');
SELECT user_id, book_id, left_at IS NULL AS here FROM presence.room_presence ORDER BY id;
-- where a statement writes, since there is a trigger
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER note BEFORE UPDATE ON presence.room_presence FOR EACH ROW EXECUTE FUNCTION note();
SELECT added FROM presence.join_room('ann', '@1;chat-1');
SELECT presence.leave_room('ann', '@1;chat-1');
SELECT count(*) FROM presence.room_presence WHERE book_id = '@1;chat-1';
DROP TRIGGER note ON presence.room_presence;
DROP FUNCTION note;
DELETE FROM presence.room_presence; DELETE FROM presence.pusher_app;
