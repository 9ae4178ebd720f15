# Sourced by what runs tests: servers, and PostgreSQL's own ways to run each kind of them. Needs
# lib.sh, $work, a directory for everything, PG_CONFIG, and $bindir (private_postgres).

pgxs=$(dirname "$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")")
deadline=$((EPOCHSECONDS + 4800))
export work pgxs deadline

# limited COMMAND...: 20 minutes at most, or TIME_LIMIT seconds, and all of them 80 minutes. What hangs is ended and has
# failed.
limited() {
	local left=$((deadline - EPOCHSECONDS)) limit=${TIME_LIMIT:-1200} status=0
	[ "$left" -lt "$limit" ] || left=$limit
	[ "$left" -gt 1 ] || left=1
	timeout --kill-after=30 "$left" bash -c '"$@"' limited "$@" || status=$?
	[[ $status != 124 && $status != 137 ]] || echo "not ok - ended after $left s"
	return "$status"
}

# start_server NAME [SETTING...]: a cluster in $work/NAME; sets PGHOST and PGPORT.
start_server() {
	local name=$1
	shift
	mkdir -p "$work/$name"
	"$bindir/initdb" -D "$work/$name/data" -U postgres -A trust -N >/dev/null
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/$name'" \
		'fsync = off' 'max_prepared_transactions = 5' "$@" >>"$work/$name/data/postgresql.conf"
	"$bindir/pg_ctl" -D "$work/$name/data" -l "$work/$name/log" -w -s start
	export PGHOST=$work/$name PGPORT=5432 PGUSER=postgres
}

stop_server() {
	"$bindir/pg_ctl" -D "$work/$1/data" -m fast -w -s stop
}

# run_regress PROGRAM DIRECTORY OUTPUT [TEST...]: those, or all that are in test/DIRECTORY.
run_regress() {
	local program=$1 directory=$2 out=$3 tests file
	shift 3
	tests=("$@")
	[ $# != 0 ] || for file in "test/$directory"/*.s*; do tests+=("$(basename "${file%.*}")"); done
	mkdir -p "$work/$out"
	"$pgxs/src/test/$program" --inputdir=test --outputdir="$work/$out" \
		--bindir="$bindir" --load-extension=presence "${tests[@]}" || {
		cat "$work/$out/regression.diffs"
		return 1
	}
}

# regress OUTPUT [TEST...], isolation OUTPUT [SPEC...]: against the server at hand.
regress() { run_regress regress/pg_regress sql "$@"; }
isolation() { run_regress isolation/pg_isolation_regress specs "$@"; }

# isolation_preloaded OUTPUT: those that a server that preloads can run.
isolation_preloaded() {
	local specs
	read -ra specs < <(sed -n 's/^ISOLATION = //p' Makefile)
	isolation "$1" "${specs[@]}"
}

# tap FILE: with directories of its own.
tap() {
	local dir
	dir=$work/tap/$(basename "$1" .pl)
	mkdir -p "$dir"
	TESTDIR=$dir TESTDATADIR=$dir TESTLOGDIR=$dir/log PATH=$PWD/test/bin:$bindir:$PATH \
		INITDB=$bindir/initdb CLUSTER=$work/tap/cluster \
		PG_REGRESS=$pgxs/src/test/regress/pg_regress PG_TEST_PORT_DIR=$work/tap/ports \
		limited perl -I "$pgxs/src/test/perl" -I test/perl "$1" >"$dir.log" 2>&1
	echo $? >"$dir.status"
	say "    $(basename "$1"): $SECONDS s"
}

export -f limited run_regress regress isolation isolation_preloaded tap say
