-- Waits until no presence of leases.sql is open; prints the seconds of the epoch
-- when the leases ended and when the last one was closed, and how many there were.

SET enable_seqscan = off;
SET enable_bitmapscan = off;

DO $$
BEGIN
	WHILE EXISTS (SELECT FROM presence.room_presence
		WHERE left_at IS NULL AND book_id >= 'lease-' AND book_id < 'lease.')
	LOOP
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END
$$;

SELECT clock_timestamp() AS closed \gset

SELECT extract(epoch FROM max(left_at)), extract(epoch FROM :'closed'::timestamptz), count(*)
FROM presence.room_presence WHERE leave_reason = 'timeout' AND book_id LIKE 'lease-%';
