# Without shared_preload_libraries: everything works, but somebody has to sweep.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('plain', plain => 1, conf => "presence.timeout = '5 s'\nmax_prepared_transactions = 2");
my $session = session($node, 'postgres');
my $listener = listener($node, 'postgres');

is($session->query('SELECT worker_pid IS NULL, worker_state, joins IS NULL, members, connections FROM presence.stats'),
	't|none: presence is not in shared_preload_libraries|t|0|0', 'presence.stats says why there is no worker');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'presence%'"), '0', 'no process of ours');

# Settings of postgresql.conf are those of a library that is loaded with first use.
is($session->query('SHOW presence.timeout'), '5s', 'settings');

# The life of a member
is($session->query(q{
	SELECT added FROM presence.join_room('ann', 'b', 'tab-1', ttl => '1 s');
	SELECT added FROM presence.join_room('ann', 'b', 'tab-2', ttl => '1 h');
	SELECT added FROM presence.join_room('ben', 'b', ttl => '3 s');
	SELECT added FROM presence.join_room('cy', 'b');
	SELECT user_id, connections FROM presence.room_members('b');
	SELECT presence.leave_room('cy', 'b');
	SELECT members, connections FROM presence.stats;
}), "t\nf\nt\nt\nann|2\nben|1\ncy|1\nt\n2|3", 'joins, tabs, leaves');
is($listener->news(4), 'member_added ann, member_added ben, member_added cy, member_removed cy left', 'events');

# Who is past his lease is not listed, and is ended by the next join or sweep.
ok($node->poll_query_until('postgres', "SELECT presence.member_count('b') = 1"), 'a lease that is over is not counted');
is($session->query(q{
	SELECT user_id, connections FROM presence.room_members('b');
	SELECT user_id FROM presence.online;
	SELECT room, members, connections FROM presence.rooms;
	SELECT presence.touch_room('ben', 'b');
	SELECT count(*) FROM presence.room_presence WHERE user_id = 'ben' AND left_at IS NULL;
}), "ann|1\nann\nb|1|1\nf\n1", 'nor listed, though nobody ended it');
is($session->query('SELECT presence.sweep()'), '1', 'sweep() ends it');
is($listener->news(1), 'member_removed ben timeout', 'with an event');
is($session->query("SELECT left_at = joined_at + interval '3 s' FROM presence.room_presence WHERE user_id = 'ben'"), 't',
	'at the end of the lease');
is($session->query('SELECT presence.sweep()'), '0', 'once');
$session->query("SELECT presence.join_room('ben', 'b', ttl => '1 s')");
ok($node->poll_query_until('postgres', "SELECT presence.member_count('b') = 1"), 'over again');
is($session->query("SELECT added FROM presence.join_room('ben', 'b', ttl => '1 h')"), 't', 'a join ends it too');
is($listener->news(3), 'member_added ben, member_removed ben timeout, member_added ben', 'and begins another');

$session->query("SELECT presence.join_room('eve', 'b', ttl => '1 s')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM presence.online WHERE user_id = 'eve'"), 'past the lease');
is($session->query(q{
	SELECT presence.touch(array_agg(id)) = array_agg(id) FROM presence.connections WHERE user_id = 'eve';
	SELECT presence.leave_room('eve', 'b');
	SELECT leave_reason FROM presence.room_presence WHERE user_id = 'eve';
}), "t\nf\ntimeout", 'there is no heartbeat, and no leave');
is($listener->news(2), 'member_added eve, member_removed eve timeout', 'but a timeout');

# Transactions
is(sqlstate($node, 'postgres', "BEGIN; SELECT presence.join_room('dee', 'b'); PREPARE TRANSACTION 'p'"),
	'0A000', 'PREPARE TRANSACTION is refused');
$session->query("BEGIN; SELECT presence.join_room('dee', 'b'); ROLLBACK");
$session->query("SELECT presence.leave_room('ben', 'b')");
is($listener->news(1), 'member_removed ben left', 'nothing of what was rolled back');

# Commands on databases, and on the extension
$node->safe_psql('postgres', 'CREATE DATABASE a TEMPLATE template1');
$node->safe_psql('a', "CREATE EXTENSION presence; SELECT presence.join_room('ann', 'b')");
quick(4, 'DROP DATABASE', sub { $node->safe_psql('postgres', 'DROP DATABASE a') });
is($session->refused('DROP EXTENSION presence'), '', 'DROP EXTENSION');
is($session->refused('CREATE EXTENSION presence'), '', 'CREATE EXTENSION');
is($session->query("SELECT added FROM presence.join_room('ann', 'b')"), 't', 'kept plans find the new tables');

# A crash: sweep() gives who was there one lease, and then ends it.
$session->query("SELECT presence.join_room('ben', 'b', ttl => '1 h')");
$_->quit for $session, $listener;
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT string_agg(user_id || ' ' || connections, ', ') FROM presence.room_members('b')"),
	'ann 0, ben 0', 'after a crash: members, without connections');
is($node->safe_psql('postgres', 'SELECT presence.sweep()'), '0', 'the first sweep ends nobody');
is($node->safe_psql('postgres', "SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')"), 'f', 'ann is joined again');
ok($node->poll_query_until('postgres', 'SELECT presence.sweep() = 1'), 'a later one ends who is not');
is($node->safe_psql('postgres', "SELECT string_agg(user_id || ' ' || connections, ', ') FROM presence.room_members('b')"),
	'ann 1', 'ann stays');

$node->stop('fast');
nothing_crashed($node);
done_testing();
