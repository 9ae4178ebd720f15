-- Rooms of 10, 100, 1,000 and 10,000, the same in plain, and in rooms of 100
-- :heartbeats connections more, to be kept alive.

SELECT count(*) AS members FROM unnest('{10, 100, 1000, 10000}'::int[]) AS size,
	presence.join_rooms(ARRAY(SELECT g::text FROM generate_series(1, size) AS g),
		array_fill('room-' || size, ARRAY[size]), array_fill('tab-1'::text, ARRAY[size]),
		array_fill('{"name": "Ann", "avatarUrl": "https://example.com/ann.png"}'::jsonb,
			ARRAY[size]), '1 day') \g /dev/null

INSERT INTO plain.room_presence (user_id, book_id, joined_at, last_active_at, user_info)
SELECT user_id, book_id, joined_at, last_active_at, user_info FROM presence.room_presence;

INSERT INTO plain.connection (book_id, user_id, connection_id, presence_id, ttl, expires_at)
SELECT book_id, user_id, 'tab-1', id, '1 day', now() + interval '1 day' FROM plain.room_presence;

CREATE TABLE plain.handle (connection bigint);
INSERT INTO plain.handle SELECT j.connection FROM generate_series(1, :heartbeats / 1000) AS batch,
	presence.join_rooms(ARRAY(SELECT g::text FROM generate_series(1, 1000) AS g),
		ARRAY(SELECT 'heartbeats-' || batch || '-' || g / 100 FROM generate_series(1, 1000) AS g),
		array_fill('tab-1'::text, '{1000}'), NULL, '1 day') AS j;
