-- :members members in rooms of 100.

SELECT set_config('bench.members', :'members', false) \g /dev/null

DO $$
BEGIN
	FOR batch IN 1 .. current_setting('bench.members')::int / 1000 LOOP
		PERFORM presence.join_rooms(ARRAY(SELECT (batch * 1000 + g)::text FROM generate_series(1, 1000) AS g),
			ARRAY(SELECT 'crowd-' || batch || '-' || g / 100 FROM generate_series(1, 1000) AS g),
			NULL, array_fill('{"name": "Ann"}'::jsonb, '{1000}'), '1 day');
		COMMIT;
	END LOOP;
END
$$;
