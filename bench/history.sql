-- Presences that have ended, numbers :first to :last, in the rooms where
-- the joins of the bench are.

INSERT INTO presence.room_presence
	(id, user_id, book_id, joined_at, last_active_at, left_at, leave_reason, user_info)
OVERRIDING SYSTEM VALUE
SELECT g, (g % 1000000)::text, (1 + g % 1000)::text, t, t + interval '9 min',
	t + interval '10 min', 'left', '{"name": "Ann"}'
FROM generate_series(:first, :last) AS g,
	LATERAL (SELECT timestamptz '2024-01-01' + g * interval '1 s' AS t) AS moment;
