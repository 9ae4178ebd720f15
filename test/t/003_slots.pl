# No room for a worker (max_worker_processes): everything works but the ending by
# itself, presence.stats and the log say why, and a worker comes once there is room.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

# Room for the launcher only
my $node = presence_node('slots',
	conf => "max_worker_processes = 1\nmax_logical_replication_workers = 0\nmax_parallel_workers = 0");

$node->safe_psql('postgres', "SELECT presence.join_room('ann', 'b', ttl => '1 s')");
ok($node->poll_query_until('postgres',
		"SELECT worker_pid IS NULL AND worker_state = 'waiting for a worker slot (max_worker_processes)' FROM presence.stats"),
	'presence.stats says why there is no worker');
my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'postgres'");
$node->wait_for_log(
	qr/WARNING:  could not start a presence worker for database $oid\n.*HINT:  You might need to increase max_worker_processes\./);
pass('the log says it too');

ok($node->poll_query_until('postgres', "SELECT presence.member_count('b') = 0"),
	'a lease that is over is not listed');
is($node->safe_psql('postgres', "SELECT left_at IS NULL FROM presence.room_presence"), 't', 'nobody ends it');
is($node->safe_psql('postgres', "SELECT presence.sweep()"), '1', 'but sweep()');
is($node->safe_psql('postgres', "SELECT added FROM presence.join_room('ann', 'b')"), 't', 'joins work');
is($node->safe_psql('postgres', "SELECT presence.leave_room('ann', 'b')"), 't', 'leaves work');
$node->safe_psql('postgres', 'CREATE DATABASE a');
quick(4, 'DROP DATABASE', sub { $node->safe_psql('postgres', 'DROP DATABASE a') });

# Room for one worker, and two databases
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
my $postgres = wait_for_worker($node, 'postgres');
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION presence');
$node->safe_psql('second', "SELECT presence.join_room('ann', 'b', ttl => '1 s')");
ok($node->poll_query_until('second', "SELECT worker_state LIKE 'waiting%' FROM presence.stats"),
	'the second database has to wait');
is(worker_pid($node, 'postgres'), $postgres, 'the first one keeps its worker');
is($node->safe_psql('postgres', 'SELECT worker_state FROM presence.stats'), 'running', 'and shows it');
my $log = slurp_file($node->logfile);
my @warnings = $log =~ /could not start a presence worker for database/g;
cmp_ok(scalar(@warnings), '<=', 5, 'the log is not filled with it');

$node->safe_psql('postgres', 'DROP EXTENSION presence');
quick(40, 'a worker for the second once there is room', sub { wait_for_worker($node, 'second') });
ok($node->poll_query_until('second', "SELECT leave_reason = 'timeout' FROM presence.room_presence"),
	'it ends what is over');

# No room even for the launcher
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
is($node->safe_psql('second', "SELECT added FROM presence.join_room('ann', 'c', ttl => '1 s')"), 't',
	'joins work without a launcher');
unlike($node->safe_psql('second', 'SELECT worker_state FROM presence.stats'), qr/^(running|starting)$/,
	'presence.stats promises no worker');
ok($node->poll_query_until('second', 'SELECT presence.sweep() = 1'), 'sweep() works');
quick(4, 'DROP DATABASE without a launcher', sub { $node->safe_psql('postgres', 'DROP DATABASE second') });
$node->stop('fast');

nothing_crashed($node);
done_testing();
