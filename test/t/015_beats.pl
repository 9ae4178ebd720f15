# Heartbeats in shared memory: nothing is written, nothing of them is lost that
# a member would miss, and rooms say whether they have changed.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('beats', conf => "autovacuum = off\nmax_prepared_transactions = 2");
my $empty = $node->safe_psql('postgres', 'SELECT memory_used FROM presence.memory()');
my $listener = listener($node, 'postgres');
my $session = session($node, 'postgres');
my $other = session($node, 'postgres');

# The members of a room, with the number of their connections.
sub members
{
	my ($room) = @_;
	return $session->query(
		"SELECT coalesce(string_agg(user_id || ' ' || connections, ', ' ORDER BY user_id), '') FROM presence.room_members('$room')");
}

sub touched
{
	my ($user, $room, $tab) = @_;
	return $session->query("SELECT presence.touch_room('$user', '$room', '" . ($tab // '') . "')");
}

sub handle_of
{
	my ($join) = @_;
	return $session->query("SELECT connection FROM presence.join_room($join)");
}

sub unknown
{
	my ($handle) = @_;
	return $session->query("SELECT presence.touch(ARRAY[$handle]::bigint[])");
}

is(touched('ann', 'none'), 'f', 'no heartbeat without a join');

# A million heartbeats, right after a thousand joins
$session->query(q{SELECT count(*) FROM generate_series(1, 1000) AS i, presence.join_room('u' || i, 'crowd', ttl => '1 h')});
my $rows = $session->query("SELECT md5(string_agg(ctid || ' ' || xmin, ',' ORDER BY id)) FROM presence.room_presence");
my $silent = 0;
for my $try (1 .. 3)
{
	my $before = $session->query('SELECT pg_current_wal_insert_lsn()');
	is($session->query(q{
		SELECT array_agg(id) AS handles FROM presence.connections WHERE user_id LIKE 'u%' \gset
		SELECT count(*), sum(cardinality(presence.touch(:'handles'::bigint[]))) FROM generate_series(1, 990);
		SELECT count(*), bool_and(presence.touch_room('u' || i, 'crowd')) FROM generate_series(1, 1000) AS i;
		SELECT count(*), bool_and((presence.poll_room('u' || i % 1000 + 1, 'crowd', '', 0)).joined) FROM generate_series(1, 10) AS i;
	}), "990|0\n1000|t\n10|t", 'a million heartbeats');
	# somebody else's checkpoint writes WAL as well
	$silent = $session->query('SELECT pg_current_wal_insert_lsn()') eq $before;
	last if $silent;
}
ok($silent, 'write no WAL');
is($session->query("SELECT md5(string_agg(ctid || ' ' || xmin, ',' ORDER BY id)) FROM presence.room_presence"), $rows, 'and no row');
is($session->query('SELECT count(*) FROM presence.connection'), '0', 'and connections have no rows at all');
is($session->query("SELECT count(*) FROM presence.room_members('crowd') WHERE last_active_at > joined_at AND connections = 1"),
	'1000', 'reads know them');
is($session->query("SELECT count(*) FROM presence.online WHERE book_id = 'crowd' AND last_active_at > joined_at AND connections = 1"),
	'1000', 'views too');
is($session->query("SELECT last_active_at > joined_at FROM presence.user_rooms('u1')"), 't', 'and the list of rooms');
is($session->query("SELECT presence.drop_connections(array_agg(id)) FROM presence.connections WHERE user_id LIKE 'u%'"), '1000', 'all go');
is($session->query('SELECT sum(cardinality(presence.touch(:\'handles\'::bigint[])))'), '1000', 'and are unknown at once');
$listener->news(2000);

# A lease that only heartbeats keep
my $ann = handle_of(q{'ann', 'b', ttl => '3 s'});
for my $beat (1 .. 20)
{
	$session->query(($beat % 2 ? "SELECT presence.touch_room('ann', 'b')" : "SELECT presence.touch(ARRAY[$ann]::bigint[])")
		. ', pg_sleep(0.2)');
}
is(members('b'), 'ann 1', 'heartbeats keep a member');
my $last = $session->query("SELECT last_active_at FROM presence.room_members('b')");
is($listener->news(2), 'member_added ann, member_removed ann timeout', 'then silence ends it');
is($session->query("SELECT last_active_at = '$last', left_at = '$last'::timestamptz + interval '3 s', left_at - joined_at > interval '6 s'
	FROM presence.room_presence WHERE user_id = 'ann'"), 't|t|t', 'a lease after the last heartbeat, which is kept');
is(touched('ann', 'b') . unknown($ann), "f{$ann}", 'and is unknown');
is($session->query("SELECT count(*) FROM presence.connections WHERE user_id = 'ann'"), '0', 'it is gone');

# Two tabs, of which one falls silent: the other one keeps the member.
my $silent_tab = handle_of(q{'ann', 'b', 'silent', ttl => '2 s'});
my $loud_tab = handle_of(q{'ann', 'b', 'loud', ttl => '3 s'});
for my $beat (1 .. 20)
{
	$session->query("SELECT presence.touch(ARRAY[$loud_tab]::bigint[]), pg_sleep(0.2)");
}
is(members('b'), 'ann 1', 'of two tabs the one that is heard stays');
is($session->query("SELECT id FROM presence.connections WHERE user_id = 'ann'"), $loud_tab, 'with its handle');
is($listener->news(2), 'member_added ann, member_removed ann timeout', 'until it falls silent too');

# Shorter and longer leases of one connection
$ann = handle_of(q{'ann', 'b', 'tab', ttl => '1 h'});
is(handle_of(q{'ann', 'b', 'tab', ttl => '1 s'}), $ann, 'a renewed connection keeps its handle');
is($listener->news(2), 'member_added ann, member_removed ann timeout', 'and may have a shorter lease');

# Transactions
is($session->query(q{
	BEGIN;
	SELECT connection AS c FROM presence.join_room('ann', 'b') \gset
	SELECT presence.touch(ARRAY[:c]::bigint[]), presence.touch_room('ann', 'b');
	SELECT user_id, connections FROM presence.room_members('b');
	SELECT connections FROM presence.online WHERE user_id = 'ann';
	SELECT joined, jsonb_array_length(members) FROM presence.poll_room('ann', 'b');
	SELECT presence.leave_room('ann', 'b');
	SELECT presence.touch(ARRAY[:c]::bigint[]) = ARRAY[:c]::bigint[], presence.touch_room('ann', 'b');
	ROLLBACK;
	SELECT presence.touch(ARRAY[:c]::bigint[]) = ARRAY[:c]::bigint[], presence.touch_room('ann', 'b');
}), "{}|t\nann|1\n1\nt|1\nt\nt|f\nt|f", 'a transaction sees what it did, and nothing of it stays when it is rolled back');
is($session->query(q{
	BEGIN;
	SELECT connection AS kept FROM presence.join_room('ann', 'b', 'kept') \gset
	SAVEPOINT s;
	SELECT connection AS lost FROM presence.join_room('ann', 'b', 'lost') \gset
	SELECT presence.leave_room('ann', 'b', 'kept');
	ROLLBACK TO s;
	SAVEPOINT t;
	SELECT connection AS more FROM presence.join_room('ann', 'b', 'more') \gset
	RELEASE t;
	COMMIT;
	SELECT presence.touch(ARRAY[:kept, :lost, :more]::bigint[]) = ARRAY[:lost]::bigint[];
	SELECT presence.touch_room('ann', 'b', 'kept'), presence.touch_room('ann', 'b', 'lost'), presence.touch_room('ann', 'b', 'more');
	SELECT connections FROM presence.room_members('b');
}), "f\nt\nt|f|t\n2", 'nor of what a savepoint took back');
is(sqlstate($node, 'postgres', q{BEGIN; SELECT presence.join_room('ann', 'b', 'third'); PREPARE TRANSACTION 'p'}), '00000',
	'a further tab, which is no event, can be prepared');
is(touched('ann', 'b', 'third'), 'f', 'it is not there yet');
$session->query("COMMIT PREPARED 'p'");
is(touched('ann', 'b', 'third') . $session->query("SELECT presence.leave_room('ann', 'b', 'third')"), 'tf', 'but then');
is($session->query(q{SELECT presence.leave_room('ann', 'b', 'kept'); SELECT connections FROM presence.room_members('b')}), "f\n1", 'one of two tabs goes');
is(touched('ann', 'b', 'kept') . touched('ann', 'b', 'more'), 'ft', 'the other one stays');
is($session->query(q{
	SET presence.linger = '3 s';
	SELECT presence.drop_connections(ARRAY[:more]);
	SELECT connections FROM presence.room_members('b');
	RESET presence.linger;
}) . touched('ann', 'b', 'more'), "0\n0f", 'a connection that lingers is none, and not heard');
is($listener->news(2), 'member_added ann, member_removed ann left', 'and ends by itself');
is(sqlstate($node, 'postgres', q{BEGIN READ ONLY; SELECT presence.touch_room('ann', 'b')}), '25006', 'a heartbeat is a write');

# A renewal that is committed late does not take back what was heard meanwhile.
handle_of(q{'ann', 'b', ttl => '5 s'});
$session->query(q{BEGIN; SELECT presence.join_room('ann', 'b', ttl => '5 s'); SELECT pg_sleep(2.5)});
is($other->query("SELECT presence.touch_room('ann', 'b')"), 't', 'heard during a renewal');
$session->query('SELECT pg_sleep(3); COMMIT');
is(members('b'), 'ann 1', 'which is committed after the lease it began with');
is($listener->news(2), 'member_added ann, member_removed ann timeout', 'ann goes later');

# A commit that fails when all is prepared: the tab that was there keeps its name.
handle_of(q{'ann', 'b', 'tab', ttl => '1 h'});
$session->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM presence.room_presence');
$other->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM presence.room_presence');
$session->query(q{SELECT presence.leave_room('ann', 'b'); SELECT presence.join_room('ann', 'b', 'tab')});
$other->query(q{SELECT presence.join_room('ben', 'c')});
my $failed = $other->refused('COMMIT') . $session->refused('COMMIT');
like($failed, qr/could not serialize/, 'one of two serializable transactions fails');
is(touched('ann', 'b', 'tab'), 't', 'the tab is heard by its name, whichever it was');
$session->query("SELECT presence.forget_book('b'), presence.forget_book('c')");
$listener->news(2);

# sweep(at) of anybody's goes by heartbeats too
$ann = handle_of(q{'ann', 'b', ttl => '1 min'});
is($session->query(q{
	SELECT presence.touch_room('ann', 'b'), pg_sleep(0.01);
	SELECT presence.sweep(joined_at + interval '1 min'), presence.sweep(last_active_at + interval '1 min 1 us') FROM presence.room_members('b');
}), "t|\n0|1", 'sweep(at) goes by heartbeats');
is($listener->news(2), 'member_added ann, member_removed ann timeout', 'ann went');

# A room says whether it has changed
my $version = sub {
	my ($room) = @_;
	return $other->query("SELECT version FROM presence.poll_room('ann', '$room')");
};
my $changed = sub {
	my ($room, $known) = @_;
	return $other->query("SELECT members IS NOT NULL FROM presence.poll_room('ann', '$room', '', $known)");
};
my $known = $version->('v');
is($changed->('v', $known), 'f', 'an empty room has a version');
for my $change (
	[ "SELECT presence.join_room('ben', 'v')", 't', 'a member' ],
	[ "SELECT presence.join_room('ben', 'v', 'tab')", 'f', 'a tab' ],
	[ "SELECT presence.touch_room('ben', 'v')", 'f', 'a heartbeat' ],
	[ "SELECT presence.leave_room('ben', 'v', 'tab')", 'f', 'a tab that goes' ],
	[ "SELECT presence.join_room('ben', 'v', '', '{}')", 't', 'another user_info' ],
	[ "SELECT presence.join_room('ben', 'w')", 'f', 'another room' ],
	[ "BEGIN; SELECT presence.join_room('cy', 'v'); ROLLBACK", 'f', 'what was rolled back' ],
	[ "SET presence.notify = off; SELECT presence.join_room('cy', 'v'); RESET presence.notify", 't', 'a member without an event' ],
	[ "SELECT presence.leave_room('cy', 'v')", 't', 'a leave' ],
	[ "SELECT presence.sweep(now() + interval '26 s')", 't', 'a timeout' ],
	[ "SELECT count(*) FROM presence.join_rooms('{ben,cy}', '{v,v}', NULL, NULL)", 't', 'a batch' ],
	[ "SELECT presence.forget_user('ben')", 't', 'who is forgotten' ])
{
	my ($sql, $expected, $name) = @$change;
	$session->query($sql);
	is($changed->('v', $known), $expected, "version: $name");
	$known = $version->('v');
	is($changed->('v', $known), 'f', 'and then the same');
}
is($session->query(qq{
	BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT 1;
	\\! true
}), '1', 'a transaction with an old snapshot');
$other->query("SELECT presence.join_room('dee', 'v')");
is($session->query(qq{
	SELECT jsonb_path_query_array(members, '\$[*].user_id') FROM presence.poll_room('cy', 'v', '', $known);
	COMMIT;
}), '["cy", "dee"]', 'polls what is there, not what its snapshot has');
is($session->query("BEGIN; SELECT presence.leave_room('dee', 'v');
	SELECT version AS own, jsonb_array_length(members) FROM presence.poll_room('cy', 'v');
	ROLLBACK") =~ /^t\n(-?\d+)\|1$/ && $changed->('v', $1), 't', 'a version of what was rolled back is no version');

# Very many leases that end together, in tables that nobody has analyzed: no plan reads them all
# for each.
$listener->quit;
$session->query(q{SELECT count(*) FROM generate_series(1, 50) AS g, LATERAL presence.join_rooms(
	ARRAY(SELECT 'many-' || i FROM generate_series(g * 1000, g * 1000 + 999) AS i), array_fill('crowd'::text, ARRAY[1000]),
	NULL, NULL, make_interval(secs => 10 - extract(epoch FROM clock_timestamp() - now())::float))});
wait_until('the first to go', sub { $session->query("SELECT presence.member_count('crowd')") < 50000 });
quick(10, '50,000 leases that end together are ended',
	sub { wait_until('all to go', sub { $session->query("SELECT presence.member_count('crowd')") eq '0' }) });
$listener = listener($node, 'postgres');

# The worker dies: memory does not.
$session->query("SELECT presence.forget_user('dee'), presence.forget_user('cy')");
$ann = handle_of(q{'ann', 'b', ttl => '30 s'});
$listener->news(1);
my $worker = wait_for_worker($node, 'postgres');
for my $round (1 .. 3)
{
	kill 'TERM', $worker;
	wait_until('the worker to go', sub { unknown($ann) eq '{}' or die 'lost'; worker_pid($node, 'postgres') ne $worker });
	is(members('b'), 'ann 1', 'listed while there is no worker');
	$worker = wait_for_worker($node, 'postgres', $worker);
	is(unknown($ann) . members('b'), '{}ann 1', "listed with worker $round");
}
stop_worker($node, $worker);
is($session->query("SELECT presence.touch_room('ann', 'b') FROM generate_series(1, 3)"), "t\nt\nt", 'heartbeats wait for no worker');
kill 'CONT', $worker;

# A transaction that is writing while the worker begins holds up nothing.
$session->query("BEGIN; SELECT presence.join_room('late', 'b', ttl => '1 h')");
kill 'TERM', $worker;
$worker = wait_for_worker($node, 'postgres', $worker);
$other->query("SELECT presence.join_room('ben', 'b', ttl => '30 s')");
$other->query("SELECT presence.touch_room('ann', 'b'), presence.touch_room('ben', 'b'), pg_sleep(0.1)") for 1 .. 5;
$session->query('COMMIT');
is(members('b'), 'ann 1, ben 1, late 1', 'all are there');
is(touched('late', 'b'), 't', 'the late one too');

# What is done to the table of connections is nothing to them; another extension has its own.
$session->query('VACUUM FULL presence.room_presence; TRUNCATE presence.connection');
is(touched('ann', 'b') . touched('ben', 'b'), 'tt', 'after VACUUM FULL');
$session->query('BEGIN; DROP EXTENSION presence');
is($session->refused("SELECT presence.touch_room('ann', 'b')") ne '' ? 'refused' : '', 'refused', 'a session that drops the extension knows');
$session->query('ROLLBACK');
is(touched('ann', 'b'), 't', 'and after its rollback');
$session->query("DROP EXTENSION presence; CREATE EXTENSION presence");
is(unknown($ann) . touched('ann', 'b'), "{$ann}f", 'nobody is known in another extension');
my $anew = handle_of(q{'ann', 'b', ttl => '1 h'});
isnt($anew, $ann, 'whose handles are new');
is(touched('ann', 'b') . members('b'), 'tann 1', 'which has its own members');
$session->query("DROP EXTENSION presence; CREATE EXTENSION presence; SELECT presence.join_room('ben', 'b', ttl => '1 s')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM presence.room_presence WHERE left_at IS NULL"),
	'and its own leases');
$session->query('DROP EXTENSION presence');
$node->safe_psql('template1', 'CREATE EXTENSION presence');
wait_until('the memory to be free', sub { $node->safe_psql('template1', 'SELECT memory_used FROM presence.memory()') eq $empty });
$node->safe_psql('template1', 'DROP EXTENSION presence');
$session->query('CREATE EXTENSION presence');
handle_of(q{'ann', 'b', ttl => '1 h'});

# Crash and restart
for my $how ('fast', 'immediate')
{
	$_->quit for $session, $other;
	$listener->quit if $how eq 'fast';
	$node->stop($how);
	$node->start;
	$session = session($node, 'postgres');
	$other = session($node, 'postgres');
	is(touched('ann', 'b') . members('b'), 'fann 0', "after stop $how a member is there for one lease, without connections");
	is($session->query("SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')"), 'f', 'to be joined again');
	is(touched('ann', 'b') . members('b'), 'tann 1', 'and heard');
}

$_->quit for $session, $other;
$node->stop('fast');
nothing_crashed($node);
done_testing();
