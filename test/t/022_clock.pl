# A clock that steps by an hour while the server runs: leases end in time, after the last sign
# of life, whichever way it steps; nobody goes too early and nobody stays.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use PresenceTest;

my $file = PostgreSQL::Test::Utils::tempdir() . '/clock';
my $clock = 0;

# Steps it by so many seconds.
sub step
{
	my ($seconds) = @_;

	$clock += $seconds;
	open my $out, '+<', $file or die "could not open $file: $!";
	binmode $out;
	print $out pack('q', $clock);
	close $out;
	return;
}

append_to_file($file, pack('q', 0));
my $node = presence_node('clock', env => preload('clock', CLOCK_FILE => $file));
my $app = session($node, 'postgres');
my $listener = listener($node, 'postgres');

step(7200);
is($app->query("SELECT clock_timestamp() - '2 h'::interval BETWEEN to_timestamp(" . time . ") - interval '5 s'
		AND to_timestamp(" . time . ") + interval '5 s'"), 't', 'the clock steps');

# Joins before the step, with heartbeats after it, and after the step: each ends a lease after
# its last sign of life, by a clock that does not step.
sub steps
{
	my ($seconds) = @_;
	my $room = "by$seconds";

	$app->query("SELECT presence.join_room('stays', '$room', ttl => '1 h')");
	my $worker = wait_for_worker($node, 'postgres');
	my $beat = $app->query("SELECT connection FROM presence.join_room('beats', '$room', ttl => '6 s')");
	$app->query("SELECT presence.join_room('before', '$room', ttl => '8 s')");
	my $began = time;
	$listener->news(3);
	step($seconds);
	$app->query("SELECT presence.join_room('after', '$room', ttl => '2 s')");
	is($listener->news(2), 'member_added after, member_removed after timeout', "$seconds s: a lease begun since");
	my $after = time - $began;
	cmp_ok($after, '>=', 1.9, "$seconds s: not too early") and cmp_ok($after, '<', 8, 'nor late');
	is($listener->news(1), 'member_removed beats timeout', "$seconds s: who is silent");
	is($listener->news(1), 'member_removed before timeout', "$seconds s: a lease of before");
	$after = time - $began;
	cmp_ok($after, '>=', 7.9, "$seconds s: not too early") and cmp_ok($after, '<', 14, 'nor late');
	is($app->query("SELECT presence.touch(ARRAY[$beat]) = ARRAY[$beat], presence.touch_room('before', '$room')"), 't|f', "$seconds s: they are unknown");

	# a heartbeat renews, across a step and after it
	$app->query("SELECT presence.join_room('heard', '$room', ttl => '3 s')");
	$listener->news(1);
	step(-$seconds);
	for (1 .. 15)
	{
		usleep(300_000);
		last if $app->query("SELECT presence.touch_room('heard', '$room')") ne 't';
	}
	is($app->query("SELECT presence.member_count('$room')"), '2', "$seconds s and back: heartbeats keep whom they are of");
	is($listener->news(1), 'member_removed heard timeout', "$seconds s and back: until he is silent");
	is($app->query("SELECT presence.touch_room('stays', '$room'), count(*) FROM presence.online WHERE user_id = 'stays' AND connections = 1"),
		't|' . ($seconds < 0 ? 1 : 2), "$seconds s: a long lease goes on");
	same_worker($node, 'postgres', $worker);
	return;
}

steps(-3600);
is($app->query('SELECT count(*) FROM presence.room_presence WHERE left_at < joined_at OR last_active_at > left_at'),
	'0', 'no stay ends before it began');
steps(3000);

# Who asks for a sweep meanwhile ends nobody either.
$app->query("SELECT presence.join_room('swept', 'sweep', ttl => '30 s')");
step(-3600);
is($app->query("SELECT presence.sweep(), presence.member_count('sweep')"), '0|1', 'a sweep after a step back');
step(3600);
is($app->query("SELECT presence.touch_room('swept', 'sweep'), presence.member_count('sweep')"), 't|1', 'and forward again');

$_->quit for $app, $listener;
$node->stop;
nothing_crashed($node);
done_testing();
