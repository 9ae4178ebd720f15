# The worker ends, and others take the slots that are free: no worker can start. Whoever
# commits next sends what is owed, so that listeners do not keep wrong rooms in silence.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

# Room for the launcher, one worker, and nobody else; a parallel query is the other that wants it
my $node = presence_node('slots_taken', conf => "max_worker_processes = 2\nmax_parallel_workers = 2\nmax_logical_replication_workers = 0");
my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
my $launcher = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'presence launcher'");
my $app = session($node, 'postgres');
my $other = session($node, 'postgres');
$app->query("SELECT presence.join_room('first', 'start', ttl => '1 h')");
my $worker = wait_for_worker($node, 'postgres');
my $listener = listener($node, 'postgres');
$listener->read_rooms;

# Ends the worker with a change that it has not told, and gives its slot to a parallel query
# before anybody can start the next.
sub take_slot
{
	my ($room) = @_;

	stop_worker($node, $worker);
	$app->query("SELECT presence.join_room('untold-' || i, '$room', ttl => '1 h') FROM generate_series(1, 3) AS i");
	stop_worker($node, $launcher) if $launcher ne '';
	kill 'TERM', $worker;
	$other->query("SET $parallel = on; SET parallel_leader_participation = off");
	kill 'CONT', $worker;
	wait_until('the worker to go', sub { worker_pid($node, 'postgres') eq '' });
	$other->start('SELECT pg_sleep(150)');
	wait_until('a parallel worker', sub {
		$node->safe_psql('template1', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND query ~ 'pg_sleep'") > 0;
	});
	kill 'CONT', $launcher if $launcher ne '';
	return;
}

sub free_slot
{
	$node->safe_psql('template1', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ 'SELECT pg_sleep.150' AND backend_type = 'client backend' AND pid <> pg_backend_pid()");
	$other->finish;
	return;
}

for my $round (1 .. 2)
{
	take_slot("room-$round");
	is(worker_pid($node, 'postgres'), '', "round $round: no worker");

	# the next commit, of any kind, tells
	$app->query($round == 1
		? "SELECT presence.join_room('next', 'room-$round', ttl => '1 h')"
		: "SELECT presence.leave_room('first', 'start')");
	$listener->knows_all("round $round: listeners know who is there, though there is no worker");
	is(worker_pid($node, 'postgres'), '', "round $round: still none");

	# and each that follows tells its own, of any kind
	for my $sql (
		"SELECT presence.join_room('more', 'room-$round', ttl => '1 h')",
		"SELECT presence.join_room('more', 'room-$round', 'second', ttl => '1 h')",
		"SELECT presence.leave_room('more', 'room-$round')",
		"SELECT presence.join_rooms('{a,b}', '{room-$round,room-$round}', NULL, NULL, '6 s')",
		"SELECT presence.forget_user('untold-1')")
	{
		is($app->refused($sql), '', "round $round: $sql");
		$listener->knows_all('and it is told');
	}
	is($app->query("SELECT presence.touch_room('untold-2', 'room-$round'), presence.touch_room('first', 'start')"), 't|' . ($round == 1 ? 't' : 'f'),
		"round $round: heartbeats are heard");

	free_slot();
	$worker = wait_for_worker($node, 'postgres');
	wait_for_closed($node, 'postgres', "room-$round", 3);
	$listener->knows_all("round $round: the next worker goes on: leases end");
}
my @said = slurp_file($node->logfile) =~ /could not start a presence worker/g;
cmp_ok(scalar(@said), '<=', 6, 'the log is not filled with it');

$_->quit for $app, $other, $listener;
$node->stop;
nothing_crashed($node);
done_testing();
