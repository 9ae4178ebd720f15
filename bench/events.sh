# Sourced by bench/run: how long events take, and the ends of leases.

latencies() {
	local line p50 p99 greatest achieved plain_achieved
	new_database latency
	make_rooms
	say "1,000 joins a second for $latency_seconds s"
	line=$("$work/latency" presence 1000 "$latency_seconds" "$join_sql")
	read -r p50 p99 greatest achieved <<<"$line"
	figure latency-p50 echo "$p50"
	figure latency-p99 echo "$p99"
	figure latency-max echo "$greatest"
	line=$("$work/latency" plain 1000 "$latency_seconds" "$plain_join_sql")
	read -r p50 p99 greatest plain_achieved <<<"$line"
	figure plain-p50 echo "$p50"
	figure plain-p99 echo "$p99"
	drop_database latency
	at_most "event, commit to listener, $(grouped "$achieved") joins/s: p50" ms latency-p50 '' \
		"pg_notify, $(grouped "$plain_achieved") joins/s" plain-p50
	at_most 'the same, p99' ms latency-p99 5 'pg_notify' plain-p99
}

# The same while the worker has to purge the history and to adopt members that were there when
# the server started. Needs the database history.
busy_latencies() {
	local line p50 p99 greatest achieved purged
	export PGDATABASE=history
	sql -c "INSERT INTO presence.room_presence (user_id, book_id)
		SELECT 'adopted-' || i, 'adopted-' || i / 100 FROM generate_series(1, $leases) AS i" \
		-c "ALTER SYSTEM SET presence.history_retention = '1 d'"
	stop_server fast
	start_server
	say "1,000 joins a second for $latency_seconds s, with purge and adoption"
	line=$("$work/latency" presence 1000 "$latency_seconds" "$join_sql")
	read -r p50 p99 greatest achieved <<<"$line"
	purged=$(sql -c "SELECT ${history[-1]} - count(*) FROM presence.room_presence WHERE user_info = '{\"name\": \"Ann\"}' AND left_at < '2025-01-01'")
	sql -c 'ALTER SYSTEM RESET presence.history_retention' -c 'SELECT pg_reload_conf()' >/dev/null
	unset PGDATABASE
	figure busy-p50 echo "$p50"
	figure busy-p99 echo "$p99"
	figure busy-max echo "$greatest"
	at_most "event, $(grouped "$achieved") joins/s, with $(grouped "${history[-1]}") rows to purge and $(grouped "$leases") to adopt: p50" \
		ms busy-p50
	at_most "the same, p99; $(grouped "$purged") purged meanwhile" ms busy-p99 10
}

# Members whose leases end together, while others join and leave. expiry_beside NAME OPTIONS: the
# load is pgbench's with these.
expiry_beside() {
	local name=$1 lease=$((leases / 10000 + 3)) end closed count load before during slowest
	shift
	new_database leases
	start_listener
	say "joining $leases members whose leases end together"
	sql -v members="$leases" -v lease=$lease -f "$bench/leases.sql"
	sql -c 'VACUUM ANALYZE'
	[ "$(sql -c 'SELECT timeouts FROM presence.stats')" = 0 ] ||
		fail "the first leases ended before the last had begun"
	"$bindir/pgbench" -n -M prepared -c 8 -T $((lease + 1)) "$@" -f "$bench/pair-presence.pgbench" \
		-l --log-prefix="$work/pairs-$name" >/dev/null 2>&1 &
	load=$!
	read -r end closed count < <(sql -f "$bench/closed.sql")
	[ "$count" = "$leases" ] || fail "$count of $leases leases have ended"
	wait $load
	figure "closed-$name" echo "$(awk -v a="$end" -v b="$closed" 'BEGIN { print b - a }')"
	# of the pairs that ended while leases were closed, and of those in the second before
	awk -v from="$end" -v to="$closed" '
		{ at = $5 + $6 / 1e6; if (at > last) last = at }
		at >= from - 1 && at < from { before++ }
		at >= from && at < to { during++; if ($3 > slowest) slowest = $3 }
		END { print before + 0, during / ((last < to ? last : to) - from), slowest / 1000 }' \
		"$work/pairs-$name".* |
		{
			read -r before during slowest
			figure "pairs-before-$name" echo "$before"
			figure "pairs-during-$name" echo "$during"
			figure "slowest-pair-$name" echo "$slowest"
		}
	stop_listener
	drop_database leases
}

expiries() {
	expiry_beside steady -R 1000
	expiry_beside busy
	at_most "$(grouped "$leases") leases that end together, closed after; beside 1,000 pairs/s" \
		s closed-steady 1
	at_most 'the slowest pair meanwhile' ms slowest-pair-steady 1000
	at_most "$(grouped "$leases") leases that end together, beside as many pairs as there may be" \
		s closed-busy
	compare 'join + leave meanwhile, clients: 8' 'the second before' 'pairs/s' \
		pairs-during-busy pairs-before-busy
}
