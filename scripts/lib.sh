# Sourced by the scripts of `make demo` and `make test`: packages, a private
# PostgreSQL, clean-up. Needs $root, the checkout, and bash with `set -eu`.

say() { printf '==> %s\n' "$*" >&2; }

# as_root COMMAND...: as it is for root, by sudo for others.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages PACKAGE...: installs those of Debian's or Ubuntu's packages that are missing.
need_packages() {
	local missing=() package
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]} (a minute or two)"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# need_postgres: the newest PostgreSQL packaged here, with headers, unless
# PG_CONFIG names another. Sets PG_CONFIG. The package's own cluster is not touched,
# nor made where there is none.
need_postgres() {
	need_packages build-essential libssl-dev
	if [ -n "${PG_CONFIG:-}" ]; then return 0; fi
	local version
	version=$(apt-cache search --names-only '^postgresql-server-dev-[0-9]+$' |
		sed -n 's/^postgresql-server-dev-\([0-9]*\) .*/\1/p' | sort -n | tail -1)
	if [ -z "$version" ]; then
		as_root apt-get update -qq >&2
		version=$(apt-cache search --names-only '^postgresql-server-dev-[0-9]+$' |
			sed -n 's/^postgresql-server-dev-\([0-9]*\) .*/\1/p' | sort -n | tail -1)
	fi
	if ! dpkg-query -W -f '${Status}' "postgresql-$version" 2>/dev/null | grep -q 'ok installed'; then
		need_packages postgresql-common
		as_root mkdir -p /etc/postgresql-common/createcluster.d
		echo 'create_main_cluster = false' |
			as_root tee /etc/postgresql-common/createcluster.d/presence.conf >/dev/null
		need_packages "postgresql-$version"
		as_root rm -f /etc/postgresql-common/createcluster.d/presence.conf
	fi
	need_packages "postgresql-server-dev-$version"
	PG_CONFIG=/usr/lib/postgresql/$version/bin/pg_config
}

# private_postgres DIR: PostgreSQL with the extension under DIR, nothing outside it.
# A server finds its files relative to its program, so the programs are
# copied and all else is linked. Sets bindir.
private_postgres() {
	local dir=$1 from to name
	from=$("$PG_CONFIG" --bindir)
	bindir=$dir$from
	mkdir -p "$bindir"
	cp "$from"/{postgres,initdb,pg_ctl,psql,pg_dump,pg_restore,pg_dumpall,createdb} "$bindir"
	for name in pg_basebackup pg_isready pgbench pg_config pg_controldata pg_resetwal pg_upgrade pg_rewind pg_verifybackup; do
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
	make -s -C "$root" PG_CONFIG="$PG_CONFIG" DESTDIR="$dir" with_llvm=no install >&2
}

# server_user: who may run a server (PostgreSQL refuses root), made if missing.
server_user() {
	if [ "$(id -u)" != 0 ]; then id -un; else
		id -u postgres >/dev/null 2>&1 || useradd --system --home-dir / postgres
		echo postgres
	fi
}

# as_server COMMAND...: as that user.
as_server() {
	if [ "$(id -u)" = 0 ]; then runuser -u "$(server_user)" -- "$@"; else "$@"; fi
}
