# Sourced by the scripts of `make demo` and `make test`: packages, a private
# PostgreSQL, clean-up. Needs $root, the checkout, and bash with `set -eu`.

say() { printf '==> %s\n' "$*" >&2; }

# as_root COMMAND...: as it is for root, by sudo for others.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# With su and no dash, a root's PATH lacks useradd and runuser.
PATH=$PATH:/usr/sbin:/sbin

is_installed() {
	dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# apt ARGUMENT...: apt-get, which says something only if it fails.
apt() {
	local log
	log=$(mktemp)
	if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# The package lists, once a run.
apt_updated=''
update_packages() {
	[ -z "$apt_updated" ] || return 0
	apt update
	apt_updated=1
}

# need_packages PACKAGE...: installs those of Debian's or Ubuntu's packages that are missing.
need_packages() {
	local missing=() package
	for package in "$@"; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]} (a minute or two)"
	update_packages
	apt install -y --no-install-recommends "${missing[@]}"
}

# The oldest Node.js that Next.js runs on.
node_is_new() {
	command -v npm >/dev/null && node -e '
		const [major, minor] = process.versions.node.split(".").map(Number)
		process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
}

# need_node DIR: Node.js with npm; where the package is too old, a newer one in DIR.
need_node() {
	local dir=$1 arch
	! node_is_new || return 0
	need_packages nodejs npm
	! node_is_new || return 0
	arch=$(node -p 'process.arch')
	if [ ! -x "$dir/bin/node" ]; then
		say "installing a newer Node.js into $dir"
		npm install --silent --no-audit --no-fund --no-save --prefix "$dir" "node-linux-$arch@22" npm@10 >&2
		mkdir -p "$dir/bin"
		ln -sf "../node_modules/node-linux-$arch/bin/node" "$dir/bin/node"
		ln -sf ../node_modules/npm/bin/npm-cli.js "$dir/bin/npm"
		ln -sf ../node_modules/npm/bin/npx-cli.js "$dir/bin/npx"
	fi
	PATH=$dir/bin:$PATH
	node_is_new
}

# need_chromium: the browser, and its engine without windows where that is packaged.
need_chromium() {
	need_packages chromium
	! apt-cache show chromium-headless-shell >/dev/null 2>&1 || need_packages chromium-headless-shell
}

# What the gateway is built with.
need_gateway_libraries() {
	need_packages build-essential libssl-dev libuv1-dev libjansson-dev libpq-dev uthash-dev libcurl4-openssl-dev
}

newest_postgres() {
	apt-cache search --names-only '^postgresql-server-dev-[0-9]+$' |
		sed -n 's/^postgresql-server-dev-\([0-9]*\) .*/\1/p' | sort -n | tail -1
}

# need_postgres: the newest PostgreSQL packaged here, with headers, unless
# PG_CONFIG names another. Sets PG_CONFIG. No cluster of the package's is touched or made:
# a server that is installed here is told not to make one.
need_postgres() {
	local version no_cluster=/etc/postgresql-common/createcluster.d/presence.conf
	need_packages build-essential libssl-dev
	[ -z "${PG_CONFIG:-}" ] || return 0
	version=$(newest_postgres)
	if [ -z "$version" ]; then
		update_packages
		version=$(newest_postgres)
	fi
	if [ -z "$version" ]; then
		say "there is no package postgresql-server-dev-NN here; set PG_CONFIG"
		return 1
	fi
	if ! is_installed "postgresql-$version"; then
		need_packages postgresql-common
		as_root mkdir -p "$(dirname $no_cluster)"
		echo 'create_main_cluster = false' | as_root tee $no_cluster >/dev/null
		need_packages "postgresql-$version" || {
			as_root rm -f $no_cluster
			return 1
		}
		as_root rm -f $no_cluster
	fi
	need_packages "postgresql-server-dev-$version"
	PG_CONFIG=/usr/lib/postgresql/$version/bin/pg_config
}

# private_postgres DIR: PostgreSQL with the extension under DIR, nothing outside it.
# A server finds its files relative to its program, so the programs are
# copied and all else is linked. Sets bindir. The extension is built, or is that of another such directory,
# PRESENCE_INSTALLED: the test suite builds it once.
private_postgres() {
	local dir=$1 from to name
	from=$("$PG_CONFIG" --bindir)
	bindir=$dir$from
	mkdir -p "$bindir"
	cp "$from"/{postgres,initdb,pg_ctl,psql,pg_dump,pg_restore,pg_dumpall,createdb} "$bindir"
	for name in pg_basebackup pg_isready pgbench pg_config pg_controldata pg_resetwal pg_upgrade pg_rewind pg_verifybackup vacuumdb; do
		[ ! -e "$from/$name" ] || cp "$from/$name" "$bindir"
	done
	for from in "$("$PG_CONFIG" --sharedir)" "$("$PG_CONFIG" --sharedir)/extension" \
		"$("$PG_CONFIG" --pkglibdir)"; do
		to=$dir$from
		mkdir -p "$to"
		for name in "$from"/*; do
			[ "$name" = "$("$PG_CONFIG" --sharedir)/extension" ] || ln -sfn "$name" "$to/"
		done
	done
	rm -rf "$dir$("$PG_CONFIG" --pkglibdir)/presence.so" \
		"$dir$("$PG_CONFIG" --sharedir)"/extension/presence*
	if [ -n "${PRESENCE_INSTALLED:-}" ]; then
		cp "$PRESENCE_INSTALLED$("$PG_CONFIG" --pkglibdir)/presence.so" "$dir$("$PG_CONFIG" --pkglibdir)"
		cp "$PRESENCE_INSTALLED$("$PG_CONFIG" --sharedir)"/extension/presence* "$dir$("$PG_CONFIG" --sharedir)/extension"
	else
		make -s -C "$root" PG_CONFIG="$PG_CONFIG" DESTDIR="$dir" with_llvm=no install >&2
	fi
}

# server_user: who may run a server (PostgreSQL refuses root), made if missing.
server_user() {
	if [ "$(id -u)" != 0 ]; then id -un; else
		id -u postgres >/dev/null 2>&1 || useradd --system --home-dir / postgres
		echo postgres
	fi
}

# build_gateway PROGRAM: from the sources in $root; or it is PRESENCE_GATEWAY, which the test suite has built.
build_gateway() {
	if [ -n "${PRESENCE_GATEWAY:-}" ]; then
		mkdir -p "$(dirname "$1")"
		cp "$PRESENCE_GATEWAY" "$1"
	else
		make -s -C "$root/gateway" PG_CONFIG="$PG_CONFIG" BUILD="$(dirname "$1")" >&2
	fi
}

# as_server COMMAND...: as that user.
as_server() {
	if [ "$(id -u)" = 0 ]; then runuser -u "$(server_user)" -- "$@"; else "$@"; fi
}

# kill_servers SIGNAL DIR: all servers whose program is under a directory; false if there are none.
kill_servers() {
	local exe found=1
	for exe in /proc/[0-9]*/exe; do
		case $(readlink "$exe" 2>/dev/null) in
			"$2"/*/postgres*)
				found=0
				exe=${exe#/proc/}
				kill "-$1" "${exe%/exe}" 2>/dev/null || true
				;;
		esac
	done
	return $found
}

# kill_all_in DIR: every process whose program or working directory is a directory, or under it.
kill_all_in() {
	local process
	for process in /proc/[0-9]*; do
		case $(readlink "$process/exe" "$process/cwd" 2>/dev/null) in
			*"$1" | *"$1"/*) kill -KILL "${process#/proc/}" 2>/dev/null || true ;;
		esac
	done
}

# stop_servers DIR: all of them, politely for a while; for clean-up.
stop_servers() {
	local tries
	for ((tries = 0; tries < 50; tries++)); do
		kill_servers "$([ $tries -lt 25 ] && echo QUIT || echo KILL)" "$1" || break
		sleep 0.1
	done
}

# forget_environment: what the caller's environment says of servers and of make is not for us.
forget_environment() {
	local name
	for name in $(compgen -e PG); do
		[ "$name" = PG_CONFIG ] || unset "$name"
	done
	unset MFLAGS MAKELEVEL MAKEFLAGS
}

# copy_checkout FROM TO: its files, but those that git ignores; of no checkout, or without git, all but what was built.
copy_checkout() {
	if [ -e "$1/.git" ] && command -v git >/dev/null; then
		(cd "$1" && git ls-files -z --cached --others --exclude-standard | xargs -0 -r ls -d 2>/dev/null | tar -cf - -T -)
	else
		tar -C "$1" --exclude=./build --exclude=./gateway/build --exclude=node_modules --exclude='.next*' \
			--exclude='*.o' --exclude='*.bc' --exclude='*.so' -cf - .
	fi | tar -xf - -C "$2"
}

number=0
failed=0

# check NAME COMMAND...: one line of TAP, with what the command said if it failed, in $work/out.
check() {
	local name=$1 status=0
	shift
	number=$((number + 1))
	"$@" >"$work/out" 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		sed 's/^/# /' "$work/out" | tail -60
		failed=1
	fi
	return "$status"
}
