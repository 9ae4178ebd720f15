# DROP EXTENSION and CREATE EXTENSION under running sessions and a running worker.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('extension');

# Each call that has a kept plan
my $calls = q{
	SELECT added FROM presence.join_room('ann', 'b', 'tab-1', ttl => '1 h');
	SELECT added FROM presence.join_room('ann', 'b', 'tab-2', '{"name": "Ann"}', ttl => '1 h');
	SELECT count(*) FROM presence.join_rooms('{ben}', '{b}', NULL, NULL, '1 h');
	SELECT presence.touch_room('ann', 'b', 'tab-1');
	SELECT presence.touch(array_agg(id)) FROM presence.connections;
	SELECT user_id, connections FROM presence.room_members('b');
	SELECT joined FROM presence.poll_room('ann', 'b', 'tab-1');
	SELECT book_id FROM presence.user_rooms('ann');
	SELECT presence.member_count('b');
	SELECT count(*) FROM presence.online WHERE book_id = 'b';
	SELECT count(*) FROM presence.members_at('b', now());
	SELECT members FROM presence.peak_members('b', now() - interval '1 h');
	SELECT presence.time_in_room('eve', 'b');
	SELECT presence.leave_room('ann', 'b', 'tab-1');
	SELECT presence.sweep();
	SELECT presence.drop_connections(array_agg(id)) FROM presence.connections WHERE user_id = 'ben';
	SELECT presence.forget_user('ann') > 0;
	SELECT presence.forget_book('b');
	SELECT presence.purge_history('1 h');
};
my $expected = "t\nf\n1\nt\n{}\nann|2\nben|1\nt\nb\n2\n2\n2\n2\n00:00:00\nf\n0\n1\nt\n1\n0";

# One test: a lease in a room, of a second, is ended.
sub ends
{
	my ($room, $name) = @_;

	return ok($node->poll_query_until('postgres',
			"SELECT leave_reason = 'timeout' FROM presence.room_presence WHERE book_id = '$room'"),
		$name);
}

my @sessions = map { session($node, 'postgres') } 1 .. 2;
is($_->query($calls), $expected, 'a session, first use') for @sessions;
my $worker = wait_for_worker($node, 'postgres');

# Gone, with the worker
$sessions[0]->query("SELECT presence.join_room('cy', 'c', ttl => '1 h')");
quick(4, 'DROP EXTENSION', sub { is($sessions[0]->refused('DROP EXTENSION presence'), '', 'no error') });
quick(4, 'the worker goes', sub { wait_for_no_worker($node, 'postgres') });
like($sessions[1]->refused("SELECT presence.join_room('ann', 'b')"), qr/^function presence\.join_room\(.*\) does not exist/,
	'the functions are gone');

# And again, in the same sessions
$sessions[1]->query('CREATE EXTENSION presence');
is($sessions[$_]->query($calls), $expected, "session $_ after CREATE EXTENSION") for 0, 1;
isnt(wait_for_worker($node, 'postgres'), $worker, 'a new worker');
$sessions[0]->query("SELECT presence.join_room('dee', 'c', ttl => '1 s')");
ends('c', 'which ends what is over');

# In one transaction; a worker that could look in between finds the new one.
is( $sessions[0]->refused(q{
	BEGIN;
	DROP EXTENSION presence;
	CREATE EXTENSION presence;
	SELECT FROM presence.join_room('dee', 'c', ttl => '1 h');
	COMMIT;
}),
	'', 'DROP and CREATE EXTENSION in one transaction');
is($sessions[$_]->query($calls), $expected, "session $_ after both") for 0, 1;
$sessions[0]->query("SELECT presence.join_room('dee', 'd', ttl => '1 s')");
ends('d', 'a worker ends what is over');

# Many times, with events on their way: whoever looks the tables up in between finds the new ones.
for my $i (1 .. 40)
{
	$sessions[1]->start("SELECT presence.join_room('u' || i, 'many', ttl => '1 h'), presence.leave_room('u' || i, 'many') FROM generate_series(1, 50) AS i");
	$sessions[0]->query('BEGIN; DROP EXTENSION presence; CREATE EXTENSION presence; SELECT FROM presence.join_room(\'dee\', \'many\', ttl => \'1 h\'); COMMIT');
	$sessions[1]->finish;
}
is($sessions[$_]->query($calls), $expected, "session $_ after many") for 0, 1;

# Undone
is($sessions[0]->refused('BEGIN; DROP EXTENSION presence; ROLLBACK'), '', 'a DROP EXTENSION that is undone');
is($sessions[$_]->query($calls), $expected, "session $_ after it") for 0, 1;
$sessions[0]->query("SELECT presence.join_room('dee', 'e', ttl => '1 s')");
ends('e', 'a worker ends what is over');

# With its schema, without its name
is($sessions[0]->refused('DROP SCHEMA presence CASCADE'), '', 'DROP SCHEMA CASCADE');
is($sessions[1]->refused('CREATE EXTENSION presence'), '', 'CREATE EXTENSION after it');
is($sessions[$_]->query($calls), $expected, "session $_ after that") for 0, 1;
$sessions[0]->query("SELECT presence.join_room('dee', 'f', ttl => '1 s')");
ends('f', 'a worker ends what is over');

# A worker that waits for a lock keeps nobody from dropping the extension.
my $lock = session($node, 'postgres');
$lock->query('BEGIN; LOCK TABLE presence.room_presence IN ACCESS EXCLUSIVE MODE');
$worker = worker_pid($node, 'postgres');
$node->safe_psql('template1', "SELECT pg_terminate_backend($worker)");
wait_for_worker($node, 'postgres', $worker);
ok($node->poll_query_until('template1',
		"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'presence worker' AND wait_event_type = 'Lock')"),
	'a worker waits for a lock');
$sessions[0]->start('DROP EXTENSION presence');
$lock->query('COMMIT');
quick(4, 'DROP EXTENSION after it', sub { $sessions[0]->finish });
is($sessions[0]->{error}, '', 'no deadlock');
wait_for_no_worker($node, 'postgres');

$_->quit for @sessions, $lock;
$node->stop('fast');
nothing_crashed($node);
unlike(slurp_file($node->logfile), qr/ERROR:.*presence worker|cache lookup failed for relation|could not open relation/,
	'no worker or session used what was gone');
done_testing();
