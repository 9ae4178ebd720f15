# What a database has in shared memory changes hands: its slot goes to another database
# and it gets one elsewhere. Nothing of one is seen in the other.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('reuse', bare => 1, conf => 'log_min_messages = debug1');

# Waits until the worker of a database has found no extension there, and given its slot up.
sub wait_for_free_slot
{
	my ($dbname, $offset) = @_;
	my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = '$dbname'");

	$node->wait_for_log(qr/no extension presence in database $oid\b/, $offset);
	return;
}

sub log_end
{
	return -s $node->logfile;
}

# Heartbeats that move no row
sub wait_for_memory
{
	my ($session, $user) = @_;
	my $row = sub { $session->query("SELECT ctid, xmin FROM presence.connection WHERE user_id = '$user'") };

	wait_until('heartbeats in memory', sub {
		my $before = $row->();
		$session->query("SELECT presence.touch_room('$user', 'room')") eq 't' or die "$user is gone";
		return $before eq $row->();
	});
	return;
}

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(first second third);

# A transaction that makes the extension and uses it, while its slot is taken away
my $offset = log_end();
my $first = session($node, 'first');
my $told_first = listener($node, 'first');
$first->query("BEGIN; CREATE EXTENSION presence; SELECT presence.join_room('secret', 'room')");
wait_for_free_slot('first', $offset);
$node->safe_psql('second', 'CREATE EXTENSION presence');
my $told_second = listener($node, 'second');
$node->safe_psql('second', "SELECT presence.join_room('ann', 'room', ttl => '1 h')");
$first->query('COMMIT');
is($told_first->news(1), 'member_added secret', 'the event is told where it happened');
is($told_second->news(1), 'member_added ann', 'and nowhere else');
is($node->safe_psql('first', 'SELECT joins FROM presence.stats'), '1', 'counted where it happened');
is($node->safe_psql('second', 'SELECT joins FROM presence.stats'), '1', 'and nowhere else');

# A session that stays, while its database gets another slot, with another ring and memory
$first->query("SELECT presence.join_room('stays', 'room', ttl => '1 h')");
wait_for_memory($first, 'stays');
$offset = log_end();
$first->query('DROP EXTENSION presence');
wait_for_free_slot('first', $offset);
$node->safe_psql('third', "CREATE EXTENSION presence; SELECT presence.join_room('cy', 'room', ttl => '1 h')");
wait_for_worker($node, 'third');
$told_first->quit;
$first->query("CREATE EXTENSION presence; SELECT presence.join_room('stays', 'room', ttl => '1 h')");
wait_for_worker($node, 'first');
$told_first = listener($node, 'first');
wait_for_memory($first, 'stays');
my $other = session($node, 'first');
$other->query("SELECT presence.join_room('ben', 'room', ttl => '1 h')");
is($other->query("SELECT presence.touch_room('ben', 'room')"), 't', 'another session has the new memory');
is($first->query("SELECT presence.touch_room('ben', 'room')"), 't', 'and so has the one that stayed');
is($first->query("SELECT presence.leave_room('ben', 'room')"), 't', 'its leave');
is($other->query("SELECT presence.touch_room('ben', 'room')"), 'f', 'is known to the other one');
$first->query("SELECT presence.join_room('dee', 'room', ttl => '1 s')");
is($told_first->news(4), 'member_added ben, member_removed ben left, member_added dee, member_removed dee timeout',
	'its events are told, and the worker knows its leases');
is($node->safe_psql('third', "SELECT string_agg(user_id, ' ') FROM presence.room_members('room')"), 'cy', 'the third database has its own');

$_->quit for $first, $other, $told_first, $told_second;
$node->stop('fast');
nothing_crashed($node);
done_testing();
