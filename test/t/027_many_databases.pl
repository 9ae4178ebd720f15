# More databases than presence.max_databases, and than worker slots: those without presence take
# none; in those with presence and without a slot everything works, and is not slower.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('many_databases', bare => 1, conf => "max_worker_processes = 10\npresence.max_databases = 2");

# Databases without presence come first, and are looked at first.
$node->safe_psql('postgres', join ";\n", map { "CREATE DATABASE plain$_" } 1 .. 10);
for my $dbname ('a', 'b', 'c', 'd')
{
	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
	$node->safe_psql($dbname, 'CREATE EXTENSION presence') if $dbname lt 'c';
	$node->safe_psql($dbname, "SELECT presence.join_room('first', 'start', ttl => '1 h')") if $dbname lt 'c';
}
$node->restart;
my %worker = map { $_ => wait_for_worker($node, $_) } 'a', 'b';
pass('the databases with presence have their workers after a restart');

# Two more have presence and find no slot.
$node->safe_psql($_, 'CREATE EXTENSION presence') for 'c', 'd';
my %session = map { $_ => session($node, $_) } 'a' .. 'd';
my %listener = map { $_ => listener($node, $_) } 'a' .. 'd';

sub life
{
	my ($dbname) = @_;
	my ($session, $listener) = ($session{$dbname}, $listener{$dbname});

	is($session->query(q{
		SELECT added FROM presence.join_room('ann', 'b', 'tab-1', ttl => '1 h');
		SELECT added FROM presence.join_room('ann', 'b', 'tab-2', ttl => '1 h');
		SELECT count(*) FROM presence.join_rooms('{ben,cy}', '{b,b}', NULL, NULL, '1 h');
		SELECT user_id, connections FROM presence.room_members('b');
		SELECT presence.touch_room('ann', 'b', 'tab-1'), presence.member_count('b');
		SELECT presence.leave_room('ann', 'b', 'tab-1'), presence.leave_room('ann', 'b');
		SELECT presence.forget_book('b');
		SELECT members >= 0 FROM presence.stats;
	}), "t\nf\n2\nann|2\nben|1\ncy|1\nt|3\nf|t\n3\nt", "$dbname: joins, tabs, lists, heartbeats, leaves");
	is($listener->news(6), 'member_added ann, member_added ben, member_added cy, member_removed ann left, ' .
		'member_removed ben removed, member_removed cy removed', "$dbname: the events");
	return;
}
life($_) for 'a' .. 'd';
is(worker_pid($node, $_), $worker{$_}, "$_ keeps its worker") for 'a', 'b';
is(worker_pid($node, $_), '', "$_ has none") for 'c', 'd';
isnt($session{c}->query('SELECT worker_state FROM presence.stats'), 'running', 'and its presence.stats promises none');

# Leases end by whoever sweeps.
$session{c}->query("SELECT presence.join_room('short', 'c', ttl => '1 s')");
ok($node->poll_query_until('c', "SELECT presence.member_count('c') = 0"), 'a lease that is over is not counted');
ok($node->poll_query_until('c', 'SELECT presence.sweep() > 0 OR NOT EXISTS (SELECT FROM presence.room_presence WHERE left_at IS NULL)'), 'sweep() ends it');
is($listener{c}->news(2), 'member_added short, member_removed short timeout', 'and says so');

# No more is asked of the listeners.
(delete $listener{$_})->quit for 'a' .. 'd';

# No call is slower for want of a slot: it takes no longer than on a server that does not
# preload, the best of some turns. (A member that comes sends his event himself, here and there.)
my $plain = presence_node('not_preloaded', plain => 1);
$session{plain} = session($plain, 'postgres');
$_->query("SELECT presence.join_room('u' || i, 'many', ttl => '1 h') FROM generate_series(1, 1000) AS i") for @session{ 'c', 'plain' };
my %best;
for my $turn (1 .. 8)
{
	last if $turn > 3 && $best{c} < 3 * $best{plain};
	for my $dbname ('plain', 'c')
	{
		my $seconds = seconds(sub {
			$session{$dbname}->query(q{
				SELECT count(presence.touch_room('u' || i, 'many')) FROM generate_series(1, 1000) AS i;
				SELECT count(presence.member_count('start')) FROM generate_series(1, 1000) AS i;
				SELECT count(presence.join_room('u' || i, 'many', 'second', ttl => '1 h')) FROM generate_series(1, 1000) AS i;
				SELECT count(presence.leave_room('u' || i, 'many', 'second')) FROM generate_series(1, 1000) AS i;
			});
		});
		$best{$dbname} = $seconds if $seconds < ($best{$dbname} // 1e9);
	}
}
cmp_ok($best{c}, '<', 3 * $best{plain}, sprintf 'without a slot %.2f s, not preloaded %.2f s', $best{c}, $best{plain});
(delete $session{plain})->quit;
$plain->stop;

# A slot that has become free goes to who needs it, after a restart at the latest.
(delete $session{a})->quit;
$node->safe_psql('a', 'DROP EXTENSION presence');
$_->quit for @session{ 'b' .. 'd' };
$node->restart;
%session = map { $_ => session($node, $_) } 'b' .. 'd';
my @with;
wait_until('two workers', sub {
	$_->query("SELECT presence.join_room('next', 'n', ttl => '1 h')") for values %session;
	@with = grep { worker_pid($node, $_) ne '' } sort keys %session;
	return @with == 2;
});
for my $dbname (@with)
{
	$session{$dbname}->query("SELECT presence.join_room('short', 'ends', ttl => '1 s')");
	wait_for_closed($node, $dbname, 'ends', 1);
	pass("leases end in $dbname by themselves");
}
quick(4, 'DROP DATABASE of one without a slot', sub {
	my ($other) = grep { my $dbname = $_; !grep { $_ eq $dbname } @with } 'b' .. 'd';
	$session{$other}->quit;
	delete $session{$other};
	$node->safe_psql('postgres', "DROP DATABASE $other");
});

$_->quit for values %session;
$node->stop;
nothing_crashed($node);
done_testing();
