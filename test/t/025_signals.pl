# A worker that is cancelled, terminated, killed; databases whose extension comes and goes beside
# others. Nothing is lost but by SIGKILL, and nobody touches what is another database's.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use PresenceTest;

my $node = presence_node('signals', conf => "restart_after_crash = on\npresence.max_databases = 2");
my $app = session($node, 'postgres');
$app->query("SELECT presence.join_room('first', 'start', ttl => '1 h')");
my $worker = wait_for_worker($node, 'postgres');
my $listener = listener($node, 'postgres');

# What the worker holds when the signal comes: events not sent, heartbeats, leases.
sub with_hands_full
{
	my ($name, $signal) = @_;

	my $silent = $app->query("SELECT connection FROM presence.join_room('silent', '$name', ttl => '8 s')");
	my $heard = $app->query("SELECT connection FROM presence.join_room('heard', '$name', ttl => '10 s')");
	is($listener->news(2), 'member_added silent, member_added heard', "$name: two come");
	my $seen = $app->query("SELECT pg_sleep(0.1), presence.touch(ARRAY[$heard]); SELECT last_active_at FROM presence.room_members('$name') WHERE user_id = 'heard'");
	$seen = (split /\n/, $seen)[-1];
	stop_worker($node, $worker);
	$app->query("SELECT presence.join_room('q' || i, '$name', ttl => '1 h') FROM generate_series(1, 50) AS i");
	$app->query("SELECT presence.leave_room('q50', '$name')");
	$app->query($signal);
	kill 'CONT', $worker;
	is($listener->news(51), join(', ', map({ "member_added q$_" } 1 .. 50), 'member_removed q50 left'), "$name: all events, in order");
	is($app->query("SELECT last_active_at >= '$seen' FROM presence.room_members('$name') WHERE user_id = 'heard'"), 't', "$name: what was heard");
	is($app->query("SELECT presence.touch(ARRAY[$heard])"), '{}', "$name: the handle is the same");
	is($app->query("SELECT count(*) FROM presence.online WHERE book_id = '$name' AND connections = 1"), '51', "$name: all connections are there");
	is($listener->news(1), 'member_removed silent timeout', "$name: the silent one goes");
	is($app->query("SELECT left_at = joined_at + interval '8 s' OR left_at - joined_at BETWEEN '8 s' AND '8.5 s' FROM presence.room_presence
			WHERE book_id = '$name' AND user_id = 'silent'"), 't', "$name: at his lease's end");
	is($listener->news(1), 'member_removed heard timeout', "$name: and then who was heard");
	is(scalar(grep { $_->{event} eq 'resync' } $listener->events), 0, "$name: no resync");
	my @seq = map { $_->{seq} } $listener->events;
	is_deeply(\@seq, [ $seq[0] .. $seq[0] + $#seq ], "$name: no number is missing");
	return;
}

with_hands_full('cancelled', "SELECT pg_cancel_backend($worker)");
same_worker($node, 'postgres', $worker, 'cancelled: the worker lives');
for my $round (1 .. 2)
{
	with_hands_full("terminated-$round", "SELECT pg_terminate_backend($worker)");
	$worker = wait_for_worker($node, 'postgres', $worker);
}

# In quick succession, under load: whatever happens between two workers, listeners know who is there.
$listener->follow;
$listener->read_rooms;
my $end = time + 5;
my $number = 0;
while (time < $end)
{
	my $pid = worker_pid($node, 'postgres');
	$app->query("SELECT pg_terminate_backend($pid)") if $pid ne '' && $number % 20 == 0;
	$app->query("SELECT presence.join_room('n$number', 'storm', ttl => '1 h')");
	$number++;
}
$listener->knows_all("$number joins while workers are terminated");

# SIGKILL: the server restarts, members have one lease.
$app->query("SELECT presence.forget_book(b) FROM unnest('{start,storm,cancelled,terminated-1,terminated-2}'::text[]) AS b");
$app->query("ALTER SYSTEM SET presence.timeout = '6 s'");
my $handle = $app->query("SELECT connection FROM presence.join_room('ann', 'killed', ttl => '1 h')");
$app->query("SELECT presence.join_room('ben', 'killed', ttl => '1 h')");
$worker = wait_for_worker($node, 'postgres');
kill 'KILL', $worker;
$_->quit for $app, $listener;
wait_for_server($node);
wait_for_worker($node, 'postgres', $worker);
$app = session($node, 'postgres');
$listener = listener($node, 'postgres');
is($app->query("SELECT presence.touch(ARRAY[$handle]), presence.touch_room('ann', 'killed')"), "{$handle}|f", 'after a kill they are unknown');
is($app->query("SELECT added FROM presence.join_room('ann', 'killed', ttl => '1 h')"), 'f', 'ann is joined again');
is($listener->news(1), 'member_removed ben timeout', 'ben, who is not, goes');
is($app->query("SELECT user_id, connections FROM presence.room_members('killed')"), 'ann|1', 'and ann stays');

# Databases that take and leave the second slot in turns, while postgres has the first.
for my $dbname ('a', 'b')
{
	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
}
my $keep = $app->query("SELECT connection FROM presence.join_room('keep', 'kept', ttl => '1 h')");
$worker = wait_for_worker($node, 'postgres');
my %turns;
for my $dbname ('a', 'b')
{
	my $file = $node->basedir . "/$dbname.sql";
	append_to_file($file, qq(
CREATE EXTENSION presence;
SELECT presence.join_room('$dbname' || i, '$dbname', ttl => '1 s') FROM generate_series(1, 20) AS i;
SELECT 1 / (count(*) = 20)::int FROM presence.room_members('$dbname') WHERE user_id LIKE '$dbname%';
SELECT presence.touch_room('${dbname}1', '$dbname');
SELECT presence.leave_room('${dbname}2', '$dbname');
DROP EXTENSION presence;
));
	$turns{$dbname} = { err => '', file => $file };
	$turns{$dbname}{run} = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 1, '-T', 8, '-f', $file, $node->connstr($dbname) ],
		'>', \$turns{$dbname}{out}, '2>', \$turns{$dbname}{err});
}
my ($touches, $unknown) = (0, 0);
while (grep { $_->{run}->pumpable } values %turns)
{
	$_->{run}->pump_nb for grep { $_->{run}->pumpable } values %turns;
	$touches++;
	$unknown++ if $app->query("SELECT presence.touch(ARRAY[$keep])") ne '{}';
	usleep(5000);
}
for my $dbname ('a', 'b')
{
	$turns{$dbname}{run}->finish;
	is($turns{$dbname}{run}->full_result(0), 0, "extensions come and go in $dbname") or diag($turns{$dbname}{err});
}
is($unknown, 0, "of $touches heartbeats beside them, none is unknown");
same_worker($node, 'postgres', $worker, 'the worker beside them is the same');
$app->query("SELECT presence.join_room('last', 'kept', ttl => '1 s')");
like($listener->news(3), qr/member_added last, member_removed last timeout$/, 'and its events and leases go on');

$_->quit for $app, $listener;
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'no crash');
done_testing();
