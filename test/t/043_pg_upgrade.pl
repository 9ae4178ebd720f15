# pg_upgrade, while members are in rooms: history, apps, grants and sequences are there after it, and so
# are members, for one lease. From the version at hand to itself, or from that of OLD_PG_CONFIG, for which
# presence is built, and installed in a directory of its own.
use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $contents = q{
	SELECT id, user_id, book_id, joined_at, last_active_at, left_at, leave_reason, is_author, user_info FROM presence.room_presence ORDER BY id;
	SELECT * FROM presence.pusher_app; SELECT * FROM presence.pusher_webhook;
	SELECT last_value, is_called FROM presence.room_presence_id_seq;
	SELECT extversion FROM pg_extension WHERE extname = 'presence';
	SELECT r.rolname, p.oid::regprocedure::text FROM pg_proc AS p, pg_roles AS r
	WHERE p.pronamespace = 'presence'::regnamespace AND r.rolname IN ('web', 'gateway', 'monitor', 'nobody') AND has_function_privilege(r.oid, p.oid, 'EXECUTE') ORDER BY 1, 2;
};

# Installs presence into a copy of the PostgreSQL that OLD_PG_CONFIG names; where that is.
sub old_install
{
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my ($out, $err) = ('', '');
	local $ENV{PG_CONFIG} = $ENV{OLD_PG_CONFIG};

	IPC::Run::run([ 'bash', '-euc', q{
		. "$1/scripts/lib.sh"
		forget_environment
		mkdir "$2/src"
		copy_checkout "$1" "$2/src"
		root=$2/src
		private_postgres "$2/install"
		dirname "$bindir"
	}, 'old_install', dirname(__FILE__) . '/../..', $dir ], '>', \$out, '2>', \$err)
	  or BAIL_OUT("presence for $ENV{OLD_PG_CONFIG}: $err");
	chomp $out;
	return $out;
}

my @from = $ENV{OLD_PG_CONFIG} ? (install_path => old_install()) : ();
for my $name (@from ? ('copy', 'link') : 'link')
{
	my @mode = $name eq 'link' ? '--link' : (); # 15 has no option for the other one
	my $old = PostgreSQL::Test::Cluster->new("old_$name", @from);
	my $new = PostgreSQL::Test::Cluster->new("new_$name");
	my @extra = ('--encoding=UTF8', '--locale=C');
	push @extra, '--no-data-checksums' if $old->pg_version < 18 && $new->pg_version >= 18; # which 18 has by default
	for my $node ($old, $new)
	{
		$node->init(extra => $node == $new ? \@extra : [ @extra[ 0, 1 ] ]);
		$node->append_conf('postgresql.conf', "shared_preload_libraries = 'presence'\npresence.timeout = '5 s'");
	}
	$old->start;
	$old->safe_psql('postgres', 'CREATE ROLE owner LOGIN; CREATE ROLE web LOGIN; CREATE ROLE gateway LOGIN; CREATE ROLE monitor LOGIN; CREATE ROLE nobody LOGIN');
	$old->safe_psql('postgres', 'CREATE DATABASE app OWNER owner');
	$old->safe_psql('app', q{
		CREATE EXTENSION presence;
		SELECT presence.grant_app('web'), presence.grant_gateway('gateway'), presence.grant_monitor('monitor');
		INSERT INTO presence.pusher_app VALUES ('1', 'a-key', 'a-secret');
		INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'http://localhost/');
		SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Ann"}', true, '1 h');
		SELECT presence.join_room('ben', 'b', ttl => '1 h'), presence.join_room('cy', 'b', ttl => '1 h');
		SELECT presence.leave_room('cy', 'b');
	}, extra_params => [ '-U', 'owner' ]);
	my $signature = $old->safe_psql('app', "SELECT presence.pusher_auth_signature('1.2', 'private-x')");
	my $key = $old->safe_psql('app', 'SELECT presence.event_key()');
	wait_for_worker($old, 'app');
	my $before = $old->safe_psql('app', $contents);
	like($before, qr/^web\|presence\.join_room/m, "$name: there is something to compare");
	$old->stop;

	chdir $new->basedir or die $!;
	command_ok([ 'pg_upgrade', '--no-sync', @mode, '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old->config_data('--bindir'),
			'-B', $new->config_data('--bindir'), '-s', $new->host, '-p', $old->port, '-P', $new->port ], "$name: pg_upgrade");
	$new->start;
	is($new->safe_psql('app', $contents), $before, "$name: all is there");
	my $web = session($new, 'app', user => 'web');
	is($web->query("SELECT string_agg(user_id || ' ' || connections, ', ') FROM presence.room_members('b')"), 'ann 0, ben 0', "$name: so are members, without connections");
	is($web->query("SELECT added FROM presence.join_room('ann', 'b', 'tab-1', ttl => '1 h')"), 'f', "$name: ann is joined again");
	wait_until('ben to go', sub { $new->safe_psql('app', "SELECT leave_reason FROM presence.room_presence WHERE user_id = 'ben'") eq 'timeout' });
	is($web->query("SELECT presence.member_count('b')"), '1', "$name: ben, who is not, went after one lease");
	is($web->query("SELECT added FROM presence.join_room('new', 'b', ttl => '1 h')"), 't', "$name: joins go on");
	is($web->query("SELECT presence.pusher_auth_signature('1.2', 'private-x')"), $signature, "$name: the secret signs");
	isnt($new->safe_psql('app', 'SELECT presence.event_key()'), $key, "$name: events have another key");
	is($new->safe_psql('app', 'SELECT name FROM presence.check()'), '', "$name: all is well");
	$web->quit;

	# the extension is the superuser's now, the tables are the owner's
	is(sqlstate($new, 'app', "SELECT presence.grant_app('nobody')", user => 'owner'), '00000', "$name: the owner goes on to grant");
	is(sqlstate($new, 'app', 'DROP EXTENSION presence', user => 'owner'), '42501', "$name: to drop it takes a superuser");
	is(sqlstate($new, 'app', 'DROP EXTENSION presence'), '00000', "$name: who can");
	$new->stop;
	nothing_crashed($new);
	$old->clean_node;
}
done_testing();
