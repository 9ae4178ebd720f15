# Sourced by bench/run, after scripts/lib.sh: a private server, figures, and
# the table they end in. Needs $root, $bench and $seconds.

work='' # the directory of everything

fail() {
	say "$*"
	exit 1
}

clean_up() {
	local status=$? tries pid
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	[ -n "$work" ] || exit $status
	cd /
	if [ $status != 0 ] && [ $status -lt 128 ]; then
		say "the bench failed; the end of the server's log:"
		tail -n 20 "$work/data/log" >&2 2>/dev/null
	fi
	for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
	stop_server immediate >/dev/null 2>&1
	for ((tries = 0; tries < 50; tries++)); do
		kill_servers "$([ $tries -lt 25 ] && echo QUIT || echo KILL)" "$work" || break
		sleep 0.1
	done
	rm -rf "$work"
	exit $status
}

# Packages, programs, and a cluster that is not running yet, in $work.
set_up() {
	local name
	need_postgres
	need_packages redis-tools gnuplot-nox libpq-dev
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/presence-bench.XXXXXX")
	chmod 755 "$work"
	mkdir "$work/src" "$work/figures" "$work/plots"
	say "building presence for $("$PG_CONFIG" --version)"
	cp -R "$root"/{Makefile,presence.control,sql,src} "$work/src"
	rm -f "$work"/src/src/*.{o,bc}
	[ "$(id -u)" != 0 ] || chown "$(server_user)" "$work"
	MAKEFLAGS=-j2 root=$work/src private_postgres "$work"
	for name in latency listen heartbeat; do
		gcc -O2 -Wall -Wextra -I"$("$PG_CONFIG" --includedir)" -o "$work/$name" "$bench/$name.c" \
			-L"$("$PG_CONFIG" --libdir)" -Wl,-rpath,"$("$PG_CONFIG" --libdir)" -lpq
	done
	gcc -O2 -Wall -Wextra -fPIC -shared -o "$work/slow_flush.so" "$bench/slow_flush.c" -ldl
	# the server is the same program as the checker, which comes with redis-tools
	ln -s "$(command -v redis-check-rdb)" "$work/redis-server"

	cd "$work"
	as_server "$bindir/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --no-locale \
		>"$work/initdb.log" 2>&1 || {
		cat "$work/initdb.log" >&2
		fail "initdb failed"
	}
	cat >>"$work/data/postgresql.conf" <<-END
		shared_preload_libraries = 'presence'
		presence.memory_limit = '4GB' # what the batches join stays
		listen_addresses = ''
		unix_socket_directories = '$work'
		unix_socket_permissions = 0700
		max_connections = 130
		shared_buffers = 256MB
		max_wal_size = 8GB
		checkpoint_timeout = 1h
	END
	export PGHOST=$work PGUSER=postgres
}

# start_server [VARIABLE=VALUE]: with that in its environment.
start_server() {
	as_server env "$@" "$bindir/pg_ctl" -D "$work/data" -l "$work/data/log" -w start >/dev/null ||
		fail "the server did not start"
}

stop_server() {
	[ ! -s "$work/data/postmaster.pid" ] ||
		as_server "$bindir/pg_ctl" -D "$work/data" -m "$1" -w -t 60 stop >/dev/null
}

sql() { "$bindir/psql" -XqAt -F ' ' -v ON_ERROR_STOP=1 "$@"; }

# new_database NAME: with presence, its worker, and what it is compared with. Sets PGDATABASE.
new_database() {
	local tries
	sql -d postgres -c "CREATE DATABASE $1"
	export PGDATABASE=$1
	sql -c 'CREATE EXTENSION presence' -f "$bench/plpgsql.sql"
	for ((tries = 0; tries < 300; tries++)); do
		[ "$(sql -c 'SELECT worker_state FROM presence.stats')" != running ] || return 0
		sleep 0.1
	done
	fail "no worker in database $1"
}

drop_database() {
	sql -d postgres -c "DROP DATABASE $1 WITH (FORCE)"
	unset PGDATABASE
}

# events_sent: when all events are, their number.
events_sent() {
	until [ "$(sql -c 'SELECT queued FROM presence.stats')" = 0 ]; do sleep 0.05; done
	sql -c 'SELECT events FROM presence.stats'
}

# start_listener: on the channels of both sides.
start_listener() {
	sent_before=$(events_sent)
	"$work/listen" presence plain lean >"$work/listened" &
	listener=$!
	until [ -s "$work/listened" ]; do
		kill -0 "$listener" || fail "the listener ended"
		sleep 0.02
	done
}

# stop_listener: when all events are sent; what was committed must have been heard.
stop_listener() {
	local sent heard resyncs
	sent=$(($(events_sent) - sent_before))
	sql -c "NOTIFY presence, 'end'"
	wait "$listener"
	read -r heard resyncs < <(tail -n 1 "$work/listened")
	echo "$resyncs" >>"$work/figures/resyncs"
	say "    $heard events of presence heard, $resyncs resyncs"
	[ "$heard" = $sent ] || [ "$resyncs" -gt 0 ] || fail "of $sent events, $heard were heard"
}

start_redis() {
	"$work/redis-server" --port 0 --unixsocket "$work/redis.sock" --save '' --appendonly no \
		--dir "$work" >"$work/redis.log" &
	redis=$!
	until redis-cli -s "$work/redis.sock" ping >/dev/null 2>&1; do
		kill -0 "$redis" || fail "Redis did not start"
		sleep 0.02
	done
}

stop_redis() {
	kill "$redis"
	wait "$redis" || true
}

# rate CLIENTS SCRIPT [ARG...]: transactions a second, after a second of warm-up. Connecting is in
# pgbench's time and in that of its reports, but not in its tps. When the machine stood still and less
# than half of the time was left to measure, or nothing came in it, once more.
rate() {
	local clients=$1 script=$2 try
	shift 2
	for try in 1 2 3; do
		"$bindir/pgbench" -n -M prepared -c "$clients" -j 2 -T $((1 + seconds + clients / 32)) -P 1 \
			-f "$bench/$script.pgbench" "$@" >"$work/pgbench.out" 2>"$work/pgbench.err" || {
			cat "$work/pgbench.err" >&2
			return 1
		}
		awk -v seconds="$seconds" '/^progress:/ && !warm_up { warm_up = $2; warm = $2 * $4 }
			/^number of transactions actually processed/ { n = $6 }
			/^initial connection time/ { connecting = $5 / 1000 }
			/^tps =/ { all = $3 }
			END {
				left = all ? n / all - (warm_up - connecting) : 0
				if (!warm_up || left < seconds / 2 || n <= warm + 1) exit 1
				print (n - warm) / left
			}' "$work/pgbench.err" "$work/pgbench.out" && return
	done
	say "the machine stands still"
	return 1
}

# figure NAME COMMAND...: keeps what it prints as one more figure of NAME.
figure() {
	local name=$1 value
	shift
	value=$("$@") || exit 1
	echo "$value" >>"$work/figures/$name"
	printf '    %-28s %s\n' "$name" "$value" >&2
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# of NAME: the median of its figures; - if there are none.
of() {
	if [ -e "$work/figures/$1" ]; then median <"$work/figures/$1"; else echo -; fi
}

# per_call_ms NAME: of a rate, the milliseconds the machine is busy with one call.
per_call_ms() { of "$1" | awk '$1 > 0 { printf "%.4g\n", 1000 / $1; next } { print "-" }'; }

# add_line WHAT AGAINST OURS THEIRS RATIO TARGET VERDICT: to the table.
add_line() {
	(
		IFS='|'
		echo "$*"
	) >>"$work/lines"
}

# grouped NUMBER: with separators, and three digits at least if it is a fraction.
grouped() {
	awk -v n="$1" 'BEGIN {
		format = n >= 100 || n == int(n) ? "%.0f" : n >= 10 ? "%.1f" : "%.2f"
		printf format, n
	}' | sed ':a; s/\B[0-9]\{3\}\>/,&/; ta'
}

# compare WHAT AGAINST UNIT OURS THEIRS [TARGET [most]]: figures of the same turns; the ratio
# is the median of the turns' ratios, with the least and the greatest. The target is the least
# that is wanted of a rate, or the most of what is spent.
compare() {
	local ratios ratio range='' verdict='' sign=${7:+≤}
	ratios=$(paste "$work/figures/$4" "$work/figures/$5" | awk '{ print $1 / $2 }' | sort -g)
	ratio=$(median <<<"$ratios")
	if [ "$ratios" != "${ratios%%$'\n'*}" ]; then
		range=" ($(times "${ratios%%$'\n'*}") to $(times "${ratios##*$'\n'}"))"
	fi
	if [ -n "${6:-}" ]; then
		verdict=$(awk -v r="$ratio" -v t="$6" -v most="${7:-}" \
			'BEGIN { print ((most ? r <= t : r >= t) ? "met" : "MISSED") }')
	fi
	add_line "$1" "$2" "$(grouped "$(of "$4")") $3" "$(grouped "$(of "$5")") $3" \
		"$(times "$ratio") ×$range" \
		"${6:+${sign:-≥} $6 ×}" "$verdict"
}

times() { awk -v r="$1" 'BEGIN { format = r < 0.1 ? "%.2g" : "%.2f"; printf format, r }'; }

# at_most WHAT UNIT OURS LIMIT [AGAINST THEIRS]: OURS is a figure that is to be small.
at_most() {
	local theirs=''
	[ -z "${6:-}" ] || theirs="$(grouped "$(of "$6")") $2"
	add_line "$1" "${5:-}" "$(grouped "$(of "$3")") $2" "$theirs" '' "${4:+≤ $4 $2}" "$(
		awk -v v="$(of "$3")" -v t="${4:-}" 'BEGIN { if (t != "") print (v <= t ? "met" : "MISSED") }'
	)"
}

# The table in Markdown, its columns as wide as they need to be.
table() {
	local widths=(0 0 0 0 0 0 0) pad dashes cells cell line rule i
	pad=$(printf '%100s' '')
	dashes=${pad// /-}
	while IFS='|' read -r -a cells; do
		for i in {0..6}; do
			cell=${cells[i]:-}
			if [ ${#cell} -gt "${widths[i]}" ]; then widths[i]=${#cell}; fi
		done
	done < <(table_lines)
	rule=''
	while IFS='|' read -r -a cells; do
		line='|'
		for i in {0..6}; do
			cell=${cells[i]:-}
			line+=" $cell${pad:0:widths[i]-${#cell}} |"
		done
		echo "$line"
		[ -z "$rule" ] || continue
		rule='|'
		for i in {0..6}; do rule+=" ${dashes:0:widths[i]} |"; done
		echo "$rule"
	done < <(table_lines)
}

table_lines() {
	echo 'what|against|ours|theirs|ratio|target|verdict'
	cat "$work/lines"
}
