# Sourced by bench/run: joins and leaves, of one, of tabs, of many at once; what they cost.

# pairs DISK CLIENTS...: joins and leaves with events and without, ours and theirs.
pairs() {
	local disk=$1 clients round
	shift
	new_database pairs
	make_rooms
	start_listener
	for ((round = 1; round <= rounds; round++)); do
		for clients in "$@"; do
			[ "$clients" -gt 8 ] || [ $round -lt 3 ] || continue # no target
			figure "$disk-$clients-lean-notify" rate "$clients" pair-lean -D notify=true
			figure "$disk-$clients-ours" rate "$clients" pair-presence
			figure "$disk-$clients-lean" rate "$clients" pair-lean -D notify=false
			figure "$disk-$clients-plain" rate "$clients" pair-plain -D notify=false
			PGOPTIONS='-c presence.notify=off' \
				figure "$disk-$clients-silent" rate "$clients" pair-presence
			[ "$clients" -le 8 ] || PGOPTIONS='-c synchronous_commit=off' \
				figure "$disk-$clients-async" rate "$clients" pair-presence
		done
	done
	stop_listener
	drop_database pairs
}

pair_lines() {
	local disk=$1 name=$2 clients notify lean plain
	shift 2
	for clients in "$@"; do
		notify='' lean='' plain=''
		case $disk-$clients in
			slow-100) notify=15 lean=1 ;;
			disk-32) notify=3.5 lean=0.95 plain=1.25 ;;
		esac
		compare "join + leave with events, clients: $clients, $name" 'lean with pg_notify' \
			'pairs/s' "$disk-$clients-ours" "$disk-$clients-lean-notify" $notify
		compare 'the same' 'lean, silent' \
			'pairs/s' "$disk-$clients-ours" "$disk-$clients-lean" $lean
		compare 'the same' 'full, silent' \
			'pairs/s' "$disk-$clients-ours" "$disk-$clients-plain" $plain
		compare 'the same without events' 'lean, silent' \
			'pairs/s' "$disk-$clients-silent" "$disk-$clients-lean"
		[ "$clients" -le 8 ] ||
			compare 'with events, and synchronous_commit = off' 'the same, and on' \
				'pairs/s' "$disk-$clients-async" "$disk-$clients-ours"
	done
}

# A tab more and less of who is there already, and the tab that makes him a member.
tabs() {
	local round
	new_database tabs
	make_rooms
	for ((round = 1; round <= rounds; round++)); do
		figure tab-second rate 32 tab-second
		figure tab-first rate 32 tab-first
	done
	drop_database tabs
}

# ticks FIELDS PID: of /proc/PID/stat, the sum of some fields, of which 100 are a second.
ticks() {
	awk -v fields="$1" '{
		n = split(fields, f, ",")
		for (i = 1; i <= n; i++) sum += $f[i]
		print sum
	}' "/proc/$2/stat"
}

# cost NAME SCRIPT [ARG...]: the CPU of a pair in microseconds, backends and worker, as a figure
# NAME; the worker's part as NAME-worker. A backend that has ended is in the postmaster's sum
# of its children.
cost() {
	local name=$1 script=$2 postmaster worker clients=8 before worker_before all
	shift 2
	postmaster=$(head -n 1 "$work/data/postmaster.pid")
	worker=$(sql -c 'SELECT worker_pid FROM presence.stats')
	events_sent >/dev/null
	before=$(ticks 16,17 "$postmaster")
	worker_before=$(ticks 14,15 "$worker")
	"$bindir/pgbench" -n -M prepared -c $clients -j 2 -t $((pairs_to_cost / clients)) \
		-f "$bench/$script.pgbench" "$@" >"$work/pgbench.out" 2>&1 || fail 'pgbench failed'
	events_sent >/dev/null
	worker=$(($(ticks 14,15 "$worker") - worker_before))
	all=$(($(ticks 16,17 "$postmaster") - before + worker))
	figure "$name" per_pair "$all"
	figure "$name-worker" per_pair $worker
}

per_pair() { awk -v ticks="$1" -v pairs="$pairs_to_cost" 'BEGIN { print ticks * 1e4 / pairs }'; }

# Commits that wait for no disk: what is left is the work. Nobody else works meanwhile.
costs() {
	local round
	new_database costs
	sql -c 'ALTER SYSTEM SET autovacuum = off' -c 'SELECT pg_reload_conf()' >/dev/null
	make_rooms
	start_listener
	export PGOPTIONS='-c synchronous_commit=off'
	rate 8 pair-lean -D notify=false >/dev/null # until all that ran before has ended
	for ((round = 1; round <= rounds; round++)); do
		cost cost-lean pair-lean -D notify=false
		cost cost-ours pair-presence
		cost cost-lean-notify pair-lean -D notify=true
		cost cost-plain pair-plain -D notify=false
	done
	unset PGOPTIONS
	stop_listener
	sql -c 'ALTER SYSTEM RESET autovacuum' -c 'SELECT pg_reload_conf()' >/dev/null
	drop_database costs
	compare 'CPU of a join + leave with events, synchronous_commit off' 'lean, silent' \
		'µs' cost-ours cost-lean 1.1 most
	compare 'the same' 'lean with pg_notify' 'µs' cost-ours cost-lean-notify
	compare 'the same' 'full, silent' 'µs' cost-ours cost-plain
	at_most 'of which the worker' 'µs' cost-ours-worker
}

many() { rate 1 join_rooms | awk '{ print $1 * 1000 }'; }

bare_insert() { rate 1 insert | awk '{ print $1 * 1000 }'; }

batches() {
	local round
	new_database batches
	make_rooms
	for ((round = 1; round <= rounds; round++)); do
		figure join_rooms many
		figure insert bare_insert
		figure join_room rate 1 join_room
	done
	drop_database batches
	compare 'join_rooms, 1,000 a call, clients: 1' 'one bare INSERT … SELECT' 'members/s' \
		join_rooms insert 0.6
	compare 'the same' 'single joins' 'members/s' join_rooms join_room
}
