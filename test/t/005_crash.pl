# Crashes and restarts: who was there stays for one lease, to be joined again;
# nobody stays for ever, and a handle from before names nobody else.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use PresenceTest;

my $node = presence_node('crash', conf => "restart_after_crash = on\npresence.timeout = '8 s'");
my @handles;

# Joins with a long lease; remembers the handle.
sub join_room
{
	my ($user_id, $connection_id) = @_;
	my ($handle, $added) = split /\|/, $node->safe_psql('postgres',
		"SELECT connection, added FROM presence.join_room('$user_id', 'b', '$connection_id', ttl => '1 h')");

	push @handles, $handle;
	return $added;
}

sub members
{
	return $node->safe_psql('postgres',
		"SELECT string_agg(user_id || ' ' || connections, ', ' ORDER BY user_id) FROM presence.room_members('b')");
}

# Ends a process as a crash does, and waits until the server is back.
sub crash
{
	my ($pid) = @_;
	my $offset = -s $node->logfile;

	kill 9, $pid;
	$node->wait_for_log(qr/database system is ready to accept connections/, $offset);
	return;
}

# Tests: who was open at the crash is there without connections, is joined
# again without an event, and else closed after one lease from the restart.
sub comes_back
{
	my ($name, $before) = @_;
	my $list = $node->safe_psql('postgres', "SELECT '{" . join(',', @handles) . "}'::bigint[]");

	is(members(), 'ann 0, ben 0', "$name: the members are there, without connections");
	my $listener = listener($node, 'postgres');
	is($node->safe_psql('postgres', "SELECT presence.touch('$list') = '$list'"), 't', "$name: no handle is known");
	is($node->safe_psql('postgres', "SELECT presence.touch_room('ben', 'b', 'tab-1')"), 'f', "$name: nor a connection");
	is($node->safe_psql('postgres', "SELECT presence.drop_connections('$list')"), '0', "$name: nor can they be dropped");
	my $old = @handles;
	is(join_room('ann', 'tab-1'), 'f', "$name: ann is joined again");
	join_room('cy', "tab-$_") for 1 .. 3;
	my %old = map { $_ => 1 } @handles[ 0 .. $old - 1 ];
	is(scalar(grep { $old{$_} } @handles[ $old .. $#handles ]), 0, "$name: with new handles");
	$list = '{' . join(',', @handles[ 0 .. $old - 1 ]) . '}';
	is($node->safe_psql('postgres', "SELECT presence.touch('$list') = '$list'"), 't', "$name: the old ones stay unknown");
	is($listener->news(2), 'member_added cy, member_removed ben timeout',
		"$name: only cy is added, and ben removed");
	is($node->safe_psql('postgres',
			"SELECT max(left_at) BETWEEN to_timestamp($before) + interval '8 s' AND now()
			 FROM presence.room_presence WHERE user_id = 'ben'"),
		't', "$name: after one lease");
	is(members(), 'ann 1, cy 3', "$name: who was joined again stays");
	$node->safe_psql('postgres', "SELECT presence.forget_user('cy')");
	is(join_room('ben', 'tab-1'), 't', "$name: ben comes again");
	$listener->quit;
	return;
}

join_room('dee', 'tab-1');
$node->safe_psql('postgres', "SELECT presence.leave_room('dee', 'b')");
join_room('ann', 'tab-1');
join_room('ann', 'tab-2');
join_room('ben', 'tab-1');
is(members(), 'ann 2, ben 1', 'members before the crash');
my $victim = session($node, 'postgres');
$victim->query("BEGIN; SELECT presence.join_room('eve', 'b')");

my $before = time;
crash($victim->pid);
comes_back('killed backend', $before);
$victim->quit;
is($node->safe_psql('postgres', "SELECT user_id, leave_reason FROM presence.room_presence WHERE user_id IN ('dee', 'eve')"),
	'dee|left', 'history is there, what was not committed is not');

$before = time;
crash(wait_for_worker($node, 'postgres'));
comes_back('killed worker', $before);

$before = time;
$node->kill9;
# not before the last of the old server's processes has noticed
wait_until('a start',
	sub { $node->start(fail_ok => 1) || do { $node->stop('fast', fail_ok => 1); 0 } });
comes_back('killed server', $before);

# Nobody uses the database after the crash: they end all the same.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', "CREATE EXTENSION presence; SELECT presence.join_room('ann', 'b', ttl => '1 h')");
$victim = session($node, 'postgres');
crash($victim->pid);
$victim->quit;
ok($node->poll_query_until('other', "SELECT leave_reason = 'timeout' FROM presence.room_presence"),
	'a member of a database that nobody uses ends after a crash');

# A clean restart ends connections, too: they are in memory. It throws nobody out at once.
$node->safe_psql('postgres', 'SELECT presence.forget_book($$b$$)');
my ($handle) = split /\|/,
  $node->safe_psql('postgres', "SELECT connection FROM presence.join_room('ann', 'b', 'tab-1', ttl => '2 s')");
$node->safe_psql('postgres', "SELECT presence.join_room('ben', 'b', 'tab-1', ttl => '2 s')");
$node->safe_psql('postgres', "SELECT presence.join_room('cy', 'b', 'tab-1', ttl => '1 h')");
$node->stop('fast');
my $stopped = time;
wait_until('the leases to be over', sub { time > $stopped + 2 });
$node->start;
is(members(), 'ann 0, ben 0, cy 0', 'a clean restart throws nobody out');
is($node->safe_psql('postgres', "SELECT presence.touch(ARRAY[$handle]), presence.touch_room('cy', 'b', 'tab-1')"),
	"{$handle}|f", 'but handles and tabs are unknown, as after a crash');
is(join_room('cy', 'tab-1'), 'f', 'who is joined again stays the member he was');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM presence.room_presence WHERE left_at IS NULL"),
	'those who are silent go');
is($node->safe_psql('postgres', "SELECT bool_and(left_at BETWEEN pg_postmaster_start_time() + interval '8 s' AND now())
		FROM presence.room_presence WHERE user_id IN ('ann', 'ben')"),
	't', 'after a lease');
is(members(), 'cy 1', 'and he stays');

$node->stop('fast');
done_testing();
