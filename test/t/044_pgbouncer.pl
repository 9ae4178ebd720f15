# PgBouncer in transaction mode: an application's calls go over whatever connection is free, with and without
# prepared statements. Nothing is kept in a session that a call depends on.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my ($pgbouncer) = grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer';
plan skip_all => 'there is no pgbouncer' unless $pgbouncer;
my ($version) = qx($pgbouncer --version) =~ /PgBouncer (\d+\.\d+)/;
my ($major, $minor) = split /\./, $version;
my $knows_prepared = $major > 1 || $minor >= 21; # statements that are prepared by the protocol

my $node = presence_node('pgbouncer');
$node->safe_psql('postgres', "CREATE ROLE web LOGIN; SELECT presence.grant_app('web'), presence.grant_gateway('web'); CREATE TABLE note (user_id text); GRANT ALL ON note TO web");
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
append_to_file("$dir/users", qq("web" ""\n));
append_to_file("$dir/ini", <<"END");
[databases]
postgres = host=${\ $node->host } port=${\ $node->port } user=web
[pgbouncer]
pool_mode = transaction
default_pool_size = 3
unix_socket_dir = $dir
listen_port = $port
auth_type = trust
auth_file = $dir/users
logfile = $dir/log
${\ ($knows_prepared ? 'max_prepared_statements = 100' : '') }
END
my $bouncer = IPC::Run::start([ $pgbouncer, "$dir/ini" ], '<', \undef, '>', '/dev/null', '2>', '/dev/null');
END { $bouncer->kill_kill if $bouncer }
wait_until('the pooler', sub { -S "$dir/.s.PGSQL.$port" });

# A page's life, a statement each; each client is a user of his own.
my $calls = PostgreSQL::Test::Utils::tempdir() . '/calls';
append_to_file($calls, <<'END');
\set room random(1, 5)
SELECT connection AS handle FROM presence.join_room('u' || :client_id, 'r' || :room, 'tab-1', '{"name": "Ann"}', ttl => '1 h') \gset
SELECT added::int AS added FROM presence.join_room('u' || :client_id, 'r' || :room, 'tab-2', ttl => '1 h') \gset
SELECT 1 / (1 - :added);
SELECT 1 / presence.touch_room('u' || :client_id, 'r' || :room, 'tab-1')::int;
SELECT 1 / (presence.touch(ARRAY[:handle::bigint]) = '{}')::int;
SELECT 1 / joined::int FROM presence.poll_room('u' || :client_id, 'r' || :room, 'tab-2');
SELECT count(*) FROM presence.room_members('r' || :room);
BEGIN;
INSERT INTO note VALUES ('u' || :client_id);
SELECT presence.leave_room('u' || :client_id, 'r' || :room, 'tab-1');
COMMIT;
SELECT 1 / presence.leave_room('u' || :client_id, 'r' || :room)::int;
END
my $listener = listener($node, 'postgres');
my $transactions = 0;
for my $mode ('simple', 'extended', $knows_prepared ? 'prepared' : ())
{
	my ($out, $err) = run_command([ 'pgbench', '-n', '-M', $mode, '-c', 12, '-T', 3, '-f', $calls, '-h', $dir, '-p', $port, '-U', 'web', 'postgres' ]);

	unlike($err, qr/ERROR|FATAL|aborted/, "$mode: no call fails");
	my ($done) = $out =~ /^number of transactions actually processed: (\d+)/m;
	cmp_ok($done, '>', 100, "$mode: $done times");
	$transactions += $done;
}
SKIP:
{
	skip "PgBouncer $version knows no prepared statements, 1.21 does", 1 unless $knows_prepared;
	pass('prepared statements too');
}
is($node->safe_psql('postgres', "SELECT count(DISTINCT pid) <= 3 FROM pg_stat_activity WHERE usename = 'web'"), 't', 'by three connections');
$node->safe_psql('postgres', "SELECT presence.leave_room('u' || i, 'r' || j) FROM generate_series(0, 11) AS i, generate_series(1, 5) AS j");
is($node->safe_psql('postgres', "SELECT count(*) >= $transactions, count(*) FILTER (WHERE left_at IS NULL) FROM presence.room_presence"), 't|0', 'each was in, and out again');
is($node->safe_psql('postgres', 'SELECT joins - leaves FROM presence.stats'), '0', 'and was counted');
$listener->knows_all('and told');
$listener->quit;
$bouncer->signal('TERM');
$bouncer->finish;
$node->stop;
nothing_crashed($node);
done_testing();
