# Sourced by test/valgrind and test/ubsan: a server that is watched, and the SQL tests on it.
# They set $root, $here and $work; $status is that of the tests.

status=0

sanitized_begin() {
	forget_environment
	umask 022
	trap 'kill_servers KILL "$work" || true; kill_all_in "$work"; rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM
	mkdir "$work/logs" "$work/src"
	chmod 755 "$work"
	tar -C "$root" -cf - --exclude='*.o' --exclude='*.bc' --exclude='*.so' Makefile presence.control sql src test expected docs |
		tar -C "$work/src" -xf -
	root=$work/src
}

# make_presence FLAG...: a private PostgreSQL with a presence that is compiled so; sets bindir.
make_presence() {
	make -s -C "$root" PG_CONFIG="$PG_CONFIG" with_llvm=no COPT="$*" >&2
	private_postgres "$work/install"
}

new_cluster() {
	[ "$(id -u)" != 0 ] || chown -R "$(server_user)" "$work"
	as_server "$bindir/initdb" -D "$work/data" -U postgres -A trust -N >/dev/null
	cat >>"$work/data/postgresql.conf" <<-CONF
		shared_preload_libraries = 'presence'
		listen_addresses = ''
		unix_socket_directories = '$work'
		fsync = off
		max_prepared_transactions = 5
	CONF
}

# start_server PROGRAM: what runs as the server.
start_server() {
	as_server "$bindir/pg_ctl" -D "$work/data" -l "$work/log" -p "$1" -w -t "${START_SECONDS:-120}" -s start || {
		tail -n 20 "$work/log" >&2
		return 1
	}
	export PGHOST=$work PGPORT=5432 PGUSER=postgres
}

stop_server() {
	as_server "$bindir/pg_ctl" -D "$work/data" -m fast -w -t 120 -s stop
	! grep -E 'PANIC|TRAP:|terminated by signal' "$work/log" || status=1
}

# run_sql_tests [TEST...]: all, or those.
run_sql_tests() {
	local tests=("$@") file pgxs
	pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")/../..
	[ $# != 0 ] || for file in "$root"/test/sql/*.sql; do tests+=("$(basename "$file" .sql)"); done
	as_server env -C "$work" "$pgxs/src/test/regress/pg_regress" --inputdir="$root/test" --outputdir="$work" \
		--bindir="$bindir" --host="$work" --user=postgres --load-extension=presence "${tests[@]}" || {
		status=1
		cat "$work/regression.diffs"
	}
}
