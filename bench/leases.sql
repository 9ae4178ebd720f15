-- :members members whose leases all end :lease seconds after this began: each batch, whose
-- lease counts from its commit, has what is left.

SELECT set_config('bench.members', :'members', false),
	set_config('bench.lease', :'lease', false) \g /dev/null

DO $$
BEGIN
	FOR batch IN 1 .. current_setting('bench.members')::int / 1000 LOOP
		PERFORM presence.join_rooms(ARRAY(SELECT g::text FROM generate_series(1, 1000) AS g),
			ARRAY(SELECT 'lease-' || batch || '-' || g / 100 FROM generate_series(1, 1000) AS g),
			NULL, array_fill('{"name": "Ann"}'::jsonb, '{1000}'),
			make_interval(secs => current_setting('bench.lease')::float8
				- extract(epoch FROM clock_timestamp() - statement_timestamp())::float8));
		COMMIT;
	END LOOP;
END
$$;
