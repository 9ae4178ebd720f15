# A lease counts from the commit of the join, however long its transaction took: nobody goes
# the moment he comes.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('lease_from_commit', conf => 'track_commit_timestamp = on');
my $app = session($node, 'postgres');
my $listener = listener($node, 'postgres');
my $other = session($node, 'postgres');
$other->query("SELECT presence.join_room('first', 'start', ttl => '1 h')");
$listener->news(1);
my $worker = wait_for_worker($node, 'postgres');

# How long after the commit of a transaction each stay in a room was closed, in seconds: the least and the most
sub closed_after
{
	my ($xid, $room) = @_;

	return split /\|/, $other->query(
		"SELECT min(after), max(after) FROM (SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - pg_xact_commit_timestamp('$xid')) AS after
		 FROM presence.room_presence WHERE book_id = '$room' AND left_at IS NOT NULL AND leave_reason = 'timeout') AS p");
}

# A transaction that joins with a lease of 1 s, and takes longer than that.
sub slow
{
	my ($name, $count, @sql) = @_;
	my $xid = $app->query(join ";\n", 'BEGIN', @sql, 'SELECT pg_sleep(2)',
		"SELECT pg_current_xact_id()::xid AS xid \\gset\nCOMMIT", '\echo :xid') =~ s/\A.*\n//sr;

	is($other->query("SELECT presence.member_count('$name')"), $count, "$name: members after the commit");
	wait_for_closed($node, 'postgres', $name, $count);
	my ($least, $most) = closed_after($xid, $name);
	cmp_ok($least, '>=', 0.99, "$name: a lease from the commit");
	cmp_ok($most, '<', 4, "$name: and not much longer");
	return;
}

# In one statement, as the app may have it
$app->query("SELECT added FROM presence.join_room('ann', 'statement', ttl => '1 s'), pg_sleep(2)");
is($other->query("SELECT presence.member_count('statement'), presence.touch_room('ann', 'statement')"), '1|t', 'a member after a slow statement');
wait_for_closed($node, 'postgres', 'statement', 1);
is($listener->news(2), 'member_added ann, member_removed ann timeout', 'comes and goes');

slow('join', 1, "SELECT presence.join_room('ann', 'join', ttl => '1 s')");
slow('savepoint', 1, 'SAVEPOINT s', "SELECT presence.join_room('ann', 'savepoint', ttl => '1 s')", 'RELEASE s');
slow('bulk', 3000, "SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'u' || i FROM generate_series(1, 3000) AS i), array_fill('bulk'::text, '{3000}'), NULL, NULL, '1 s')");
$listener->news(6004);

# Who was there already, in a transaction that outlasts his lease: with the tab he has, and with another
for my $tab ('', 'second')
{
	my $room = "renewed$tab";
	$other->query("SELECT presence.join_room('ann', '$room', ttl => '1 s')");
	slow($room, 1, "SELECT presence.join_room('ann', '$room', '$tab', ttl => '1 s')");
	is($listener->news(2), 'member_added ann, member_removed ann timeout', "$room: is one stay");
}

# ... that is rolled back: the old lease is what counts
$other->query("SELECT presence.join_room('ann', 'undone', ttl => '1 s')");
$app->query("BEGIN; SELECT presence.join_room('ann', 'undone', 'second', ttl => '1 h'); SELECT pg_sleep(2); ROLLBACK");
quick(5, 'who was not renewed goes', sub { wait_for_closed($node, 'postgres', 'undone', 1) });
is($listener->news(2), 'member_added ann, member_removed ann timeout', 'with one event each');

# A join of which nobody knows yet keeps the worker from nothing.
$app->query("BEGIN; SELECT presence.join_room('slow', 'open', ttl => '1 s')");
$other->query("SELECT presence.join_room('ben', 'open', ttl => '1 s')");
is($listener->news(2), 'member_added ben, member_removed ben timeout', 'others go while a transaction is open');
$app->query('COMMIT');
is($listener->news(2), 'member_added slow, member_removed slow timeout', 'and then he');
same_worker($node, 'postgres', $worker);

$_->quit for $app, $other, $listener;
$node->stop;
nothing_crashed($node);
done_testing();
