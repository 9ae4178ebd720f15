# Sourced by bench/run: what writes no row, and what only reads; the same with history.

touch_many() { "$work/heartbeat" $readers "$seconds" <"$work/handles-$PGDATABASE"; }

zadd() { "$work/heartbeat" $readers "$seconds" "$work/redis.sock" <"$work/handles-$PGDATABASE"; }

touch_room() { rate $readers touch_room -D book="room-$1" -D size="$1"; }

room_members() { rate $readers room_members -D book="room-$1"; }

# A client that knows the list, and must be told nothing.
poll_room() {
	local known told
	known=$(sql -c "SELECT version FROM presence.poll_room('1', 'room-$1', 'tab-1')")
	told=$(sql -c "SELECT members IS NOT NULL OR NOT joined
		FROM presence.poll_room('1', 'room-$1', 'tab-1', $known)")
	[ "$told" = f ] || fail "poll_room says more than that nothing is new"
	rate $readers poll_room -D book="room-$1" -D size="$1" -D known="$known"
}

# poll_behind N SCRIPT: a client of a room of 10,000 who has not polled since N others came and went: so
# many names are told, or 10,000.
poll_behind() {
	local n=$1 script=$2 book=room-10000 known told
	known=$(sql -c "SELECT version FROM presence.poll_room_changes('1', '$book', 'tab-1')")
	sql -c "SELECT count(*) FROM generate_series(1, $n) AS i, presence.join_room('late-' || i, '$book')" >/dev/null
	told=$(sql -c "SELECT coalesce(jsonb_array_length(members), 0) || ' ' || coalesce(jsonb_array_length(added), 0)
		FROM presence.poll_room_changes('1', '$book', 'tab-1', $known)")
	[ "$told" = "0 $n" ] || fail "poll_room_changes says $told of $n changes"
	rate $readers "$script" -D book="$book" -D size=10000 -D known="$known"
	sql -c "SELECT count(*) FROM generate_series(1, $n) AS i, presence.leave_room('late-' || i, '$book')" >/dev/null
}

# What a second's joins cost 10,000 clients that poll: every client's poll tells what changed since his last.
polls() {
	local round
	poll_behind 1 poll_room_changes >/dev/null # from here on the room remembers
	for ((round = 1; round <= rounds; round++)); do
		figure poll-nothing poll_room 10000
		figure poll-1 poll_behind 1 poll_room_changes
		figure poll-30 poll_behind 30 poll_room_changes
		seconds=4 figure poll-list poll_behind 30 poll_room
	done
	compare 'poll_room_changes, 1 join since, room of 10,000' 'poll_room, nothing new' 'calls/s' \
		poll-1 poll-nothing
	compare 'poll_room_changes, 30 joins since, room of 10,000' 'poll_room, the whole list' 'calls/s' \
		poll-30 poll-list 20
}

heartbeats() {
	local round
	start_redis
	zadd >/dev/null # now they are all in the set
	for ((round = 1; round <= rounds; round++)); do
		figure touch touch_many
		figure zadd zadd
	done
	stop_redis
	compare "touch, 1,000 a call, of $(grouped "$heartbeats")" 'Redis ZADD, pipeline of 100' 'heartbeats/s' \
		touch zadd 8
}

reads() {
	local round size
	for ((round = 1; round <= rounds; round++)); do
		figure select-1 rate $readers select-1 -D size=10000
		figure touch_room touch_room 10000
		for size in "${room_sizes[@]}"; do
			# for the plot once, for a target each time
			if [ "$size" = 100 ] || [ $round = 1 ]; then
				figure "room_members-$size" room_members "$size"
				figure "list-$size" rate $readers member-list -D book="room-$size"
			fi
			if [ "$size" = 10 ] || [ "$size" = 10000 ] || [ $round = 1 ]; then
				figure "poll_room-$size" poll_room "$size"
			fi
		done
	done
	compare 'touch_room' 'SELECT 1' 'calls/s' touch_room select-1 0.8
	compare 'room_members of 100' 'the bare SELECT' 'calls/s' room_members-100 list-100 0.9
	for size in 10 10000; do
		compare "poll_room, nothing new, room of $(grouped "$size")" 'SELECT 1' 'calls/s' \
			"poll_room-$size" select-1 0.7
	done
}

# All columns of all members, which are made and not sent.
online() { seconds=4 rate 1 online; }

crowd() {
	local round
	new_database crowd
	sql -v members="$crowd" -f "$bench/crowd.sql"
	sql -c 'VACUUM ANALYZE'
	[ "$(sql -c 'SELECT count(*) FROM presence.online')" = "$crowd" ] || fail 'not all are online'
	for ((round = 1; round <= rounds; round++)); do
		figure online online
		seconds=4 figure online-bare rate 1 online-bare
	done
	drop_database crowd
	compare "presence.online of $(grouped "$crowd"), clients: 1" 'the bare SELECT' 'calls/s' \
		online online-bare 0.5
}

# both_histories NAME COMMAND...: in the database without history and in the one with it.
both_histories() {
	local name=$1
	shift
	PGDATABASE=none figure "none-$with-$name" "$@"
	PGDATABASE=$database figure "$with-$name" "$@"
}

# everything [some]: each thing once on both sides, or what the plots show.
everything() {
	both_histories pair rate 32 pair-presence
	both_histories touch_room touch_room 10000
	both_histories room_members room_members 100
	both_histories poll_room poll_room 10
	[ "${1:-}" != some ] || return 0
	both_histories drop rate 1 drop
	[ -z "${QUICK:-}" ] || return 0
	both_histories poll_room-10000 poll_room 10000
	both_histories touch touch_many
	both_histories join_rooms many
	both_histories tab rate 8 tab-second
	both_histories online online
}

history_lines() {
	local name what unit text=$1
	while IFS='|' read -r name what unit; do
		[ -e "$work/figures/$with-$name" ] || continue
		compare "$what, $text" 'none' "$unit" "$with-$name" "none-$with-$name" 0.9
	done <<-END
		pair|join + leave with events, clients: 32|pairs/s
		tab|a second tab, clients: 8|pairs/s
		join_rooms|join_rooms|members/s
		drop|join + drop_connections, clients: 1|pairs/s
		touch|touch|heartbeats/s
		touch_room|touch_room|calls/s
		room_members|room_members of 100|calls/s
		poll_room|poll_room, room of 10|calls/s
		poll_room-10000|poll_room, room of 10,000|calls/s
		online|presence.online|calls/s
	END
}

# The rows come from two sessions, for time's sake, each an interval of ids.
load_history() {
	local from=$1 to=$2 middle=$((($1 + $2) / 2)) half
	say "loading history to $to rows"
	sql -v first=$((from + 1)) -v last=$middle -f "$bench/history.sql" &
	half=$!
	sql -v first=$((middle + 1)) -v last="$to" -f "$bench/history.sql"
	wait $half
	sql -c CHECKPOINT
}

# What the planner knows of the table is what it knows of a new one.
forget_statistics() {
	sql <<-'END'
		DELETE FROM pg_statistic WHERE starelid = 'presence.room_presence'::regclass;
		UPDATE pg_class SET reltuples = -1, relpages = 0, relallvisible = 0
		WHERE oid = 'presence.room_presence'::regclass
			OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'presence.room_presence'::regclass);
	END
}

histories() {
	local round rows before=0 largest=${history[-1]} database=history with
	new_database history
	sql -c "SELECT setval('presence.room_presence_id_seq', $largest)" >/dev/null
	make_rooms "$heartbeats"
	sql -c 'ALTER TABLE presence.room_presence SET (autovacuum_enabled = off)'
	for rows in "${history[@]}"; do
		load_history "$before" "$rows"
		before=$rows
		with=$rows
		if [ "$rows" != "$largest" ]; then
			sql -c 'VACUUM ANALYZE presence.room_presence'
			everything some
		fi
	done
	forget_statistics
	with=never
	for ((round = 1; round <= rounds; round++)); do everything; done
	sql -c 'VACUUM ANALYZE presence.room_presence' -c CHECKPOINT
	with=$largest
	for ((round = 1; round <= rounds; round++)); do everything; done
	sql -c 'ALTER TABLE presence.room_presence RESET (autovacuum_enabled)'
	history_lines "$(grouped "$largest") rows of history"
	with=never
	history_lines 'the same, never analyzed'
	stale
}

# A history that was analyzed while nobody was there; then they came.
stale() {
	local round database=stale with=stale
	new_database stale
	sql -c 'ALTER TABLE presence.room_presence SET (autovacuum_enabled = off)'
	load_history 0 200000
	sql -c "SELECT setval('presence.room_presence_id_seq', 200000)" >/dev/null
	sql -c 'ANALYZE'
	analyze='' make_rooms "$heartbeats"
	for ((round = 1; round <= rounds; round++)); do everything; done
	drop_database stale
	history_lines '200,000 rows, analyzed while nobody was there'
}
