# A NOTIFY queue that takes no more: one session that listens and stays in its transaction is
# enough (PostgreSQL 17 and newer, where the queue can be made small), or a disk that is full
# (before). No join or leave fails, leases end, and when there is room again listeners are told.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $faults = PostgreSQL::Test::Utils::tempdir();
my $node = presence_node('notify_queue', bare => 1, env => preload('faults', FAULTS => $faults),
	conf => "presence.event_queue_size = '64kB'");
if ($node->pg_version >= 17)
{
	$node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
	$node->restart;
}
$node->safe_psql('postgres', 'CREATE EXTENSION presence');

my $app = session($node, 'postgres');
$app->query("SELECT presence.join_room('first', 'start', ttl => '1 h')");
my $worker = wait_for_worker($node, 'postgres');
my $listener = listener($node, 'postgres');
$listener->read_rooms;

# The SQLSTATE of a NOTIFY that takes a page of the queue
sub notify_fails
{
	my ($pages) = @_;
	return sqlstate($node, 'postgres',
		"DO \$\$ BEGIN FOR i IN 1 .. $pages LOOP PERFORM pg_notify('page', repeat('x', 7900)); COMMIT; END LOOP; END \$\$");
}

# All that makes events, and more of them than the worker's own queue holds.
sub changes
{
	my ($name) = @_;
	my @failed;

	for my $round (1 .. 10)
	{
		for my $sql (
			"SELECT presence.join_room('u' || i, 'r$round') FROM generate_series(1, 40) AS i",
			"SELECT presence.join_room('u1', 'r$round', 'tab-2'), presence.join_room('u2', 'r$round', user_info => '{}')",
			"SELECT presence.join_rooms(array['v1', 'v2'], array['r$round', 'r$round'], NULL, NULL)",
			"SELECT presence.leave_room('u' || i, 'r$round') FROM generate_series(1, 10) AS i",
			"SELECT presence.forget_user('v1')",
			"SELECT presence.drop_connections(ARRAY[(presence.join_room('w', 'r$round')).connection])")
		{
			push @failed, $app->{error} if $app->refused($sql) ne '';
		}
	}
	return is_deeply(\@failed, [], "$name: no join or leave fails");
}

# While it is full: the changes, and leases that end.
sub goes_on
{
	my ($name) = @_;

	changes($name);
	$app->query("SELECT presence.join_room('short-' || i, 'leases-$name', ttl => '1 s') FROM generate_series(1, 20) AS i");
	wait_for_closed($node, 'postgres', "leases-$name", 20);
	pass("$name: leases end");
	same_worker($node, 'postgres', $worker, "$name: the worker lives");
	return;
}

# When there is room again
sub recovers
{
	my ($name) = @_;

	wait_until('a resync', sub { $listener->follow; $listener->{resyncs} > 0 });
	$listener->knows_all("$name: a listener knows who is there after the resync");
	$app->query("SELECT presence.join_room('late', '$name')");
	$listener->knows_all("$name: and who comes then");
	same_worker($node, 'postgres', $worker, "$name: by the same worker");
	$listener->{resyncs} = 0;
	$app->query("SELECT presence.forget_book(room) FROM (SELECT DISTINCT book_id FROM presence.online WHERE book_id <> 'start') AS r (room)");
	$listener->knows_all("$name: and who goes");
	return;
}

# A session that keeps the queue as it is
my $idle = session($node, 'postgres');
$idle->query('LISTEN something; BEGIN');

if ($node->pg_version >= 17)
{
	is(notify_fails(100), '54000', 'the queue is full');
	goes_on('full');
}
else
{
	# The queue has 8 GB; a disk that is full stands for it. New pages find no room in memory
	# either. (Nothing of the queue may be deleted then: that comes after a commit, where
	# PostgreSQL can't have an error.)
	is(notify_fails(40), '00000', 'the queue takes pages');
	append_to_file("$faults/notify", '');
	is(notify_fails(40), '53100', 'and none on a full disk');
	goes_on('disk');
	unlink "$faults/notify";
}

# Nobody else must have to drain it.
$idle->query('COMMIT');
recovers('room-again');

my @said = slurp_file($node->logfile) =~ /^.*presence worker.*(?:WARNING|ERROR):.*$/mg;
cmp_ok(scalar(@said), '<', 100, 'the log is not filled with it');
$_->quit for $app, $idle, $listener;
$node->stop;
nothing_crashed($node);
done_testing();
