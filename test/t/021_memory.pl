# Memory that is full. presence.memory_limit: the join that needs more is refused before
# it changes anything, everything else goes on. /dev/shm: presence needs none.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $faults = PostgreSQL::Test::Utils::tempdir();
my $node = presence_node('memory', env => preload('faults', FAULTS => $faults),
	conf => "presence.memory_limit = '2MB'\nmax_prepared_transactions = 2");
append_to_file("$faults/shm", '');

my $app = session($node, 'postgres');
my $listener = listener($node, 'postgres');
$app->query("SELECT presence.join_room('first', 'start', ttl => '1 h')");
my $worker = wait_for_worker($node, 'postgres');
is($listener->news(1), 'member_added first', 'all begins with a full /dev/shm');
# Slots, locks (two a database, of 128 bytes) and tables of keys are within the limit.
is($app->query(q{SELECT allocated_size BETWEEN 2 * 1024 * 1024 - 64 * 1024 AND 2 * 1024 * 1024 FROM pg_shmem_allocations WHERE name = 'presence'}),
	't', 'the server takes presence.memory_limit, and no more');
is($app->query('SELECT memory_used BETWEEN 100000 AND 500000, memory_limit FROM presence.memory()'), 't|2097152', 'of which the tables of keys use some');
$app->query("SELECT presence.join_room('short', 'short', ttl => '1 s')");
is($listener->news(2), 'member_added short, member_removed short timeout', 'and leases end');
is($app->query("SELECT presence.touch_room('first', 'start')"), 't', 'heartbeats');

# Joins 200; an error, if there is no memory for them.
sub join_some
{
	my ($room, $batch) = @_;
	return $app->refused("SELECT count(*) FROM presence.join_rooms(
		ARRAY(SELECT 'u$batch-' || i FROM generate_series(1, 200) AS i), array_fill('$room'::text, '{200}'), NULL, NULL, '1 h')");
}

# Until memory is full, also when the events that wait there are sent
sub fill
{
	my ($room) = @_;
	my $batch = 0;

	while ($batch < 500)
	{
		if (join_some($room, $batch) ne '')
		{
			wait_until('the events', sub { $app->query('SELECT queued FROM presence.stats') eq '0' });
			my $error = join_some($room, $batch);
			return ($batch, $error) if $error ne '';
		}
		$batch++;
	}
	return ($batch, '');
}

$listener->follow;
$listener->read_rooms;
my ($filled, $error) = fill('many');
isnt($error, '', "memory is full, with $filled batches");
cmp_ok($filled, '>', 0, 'and is of some use');
like($app->{error}, qr/^HINT:.*presence\.memory_limit/m, 'the error names the setting');
my $full = "SELECT presence.join_room('new-' || i, 'full', ttl => '1 h') FROM generate_series(1, 1000) AS i";
is(sqlstate($node, 'postgres', $full), '53200', 'with its SQLSTATE');
cmp_ok($app->query('SELECT memory_used::float / memory_limit FROM presence.memory()'), '>', 0.6, 'presence.memory() says so');

# The refused join has changed nothing.
is($app->query('SELECT count(*) FROM presence.room_presence'), 2 + 200 * $filled, 'nothing is in the table');
is($app->query("SELECT presence.member_count('full')"), '0', 'nobody is a member');
$listener->knows_all('the events tell of who came');
# To the last byte: names of all lengths, until none finds room.
for my $length (128, 64, 32, 16, 8, 4, 2, 1)
{
	my $n = 0;
	1 while $n++ < 500 && $app->refused("SELECT presence.join_room('x$n', 'last', repeat('c', $length), ttl => '1 h')") eq '';
}
isnt($app->refused("SELECT presence.join_room('y', 'last-2', ttl => '1 h')"), '', 'memory is full to the last byte');
$listener->knows_all('and all who came are told of');
my $resyncs = $app->query('SELECT resyncs FROM presence.stats');
$listener->{told} = () = $listener->events;
is( $app->query(q{
	BEGIN;
	SELECT count(*) FROM presence.join_room('first', 'start', ttl => '1 h');
	SAVEPOINT s;
}), '1', 'a transaction');
isnt($app->refused($full), '', 'refused within it');
is($app->query("ROLLBACK TO s; SELECT presence.touch_room('first', 'start'); COMMIT"), 't', 'which goes on');

# Everything else goes on.
is($app->query("SELECT presence.touch_room('u0-1', 'many'), presence.member_count('many')"), 't|' . 200 * $filled,
	'heartbeats, reads');
is($app->query("SELECT count(*) FROM presence.room_members('many') WHERE connections = 1"), 200 * $filled, 'lists');
is($app->query("SELECT added FROM presence.join_room('u0-1', 'many', ttl => '1 h')"), 'f', 'a renewal of what is there, which needs no memory');
is($app->query("SELECT presence.leave_room('u0-1', 'many')"), 't', 'a leave');
is($listener->news(1), 'member_removed u0-1 left', 'its event');
is($app->query("SELECT added FROM presence.join_room('u0-1', 'many', ttl => '1 s')"), 't', 'which makes room for one');
is($listener->news(2), 'member_added u0-1, member_removed u0-1 timeout', 'whose lease ends');
is($app->query("SELECT presence.forget_user('u0-2')"), '1', 'forgetting');
is($listener->news(1), 'member_removed u0-2 removed', 'its event');

# Leaves of many sessions while every byte that a leave frees is taken by a join: all are told, none becomes a resync.
my $joiner = session($node, 'postgres');
for my $i (3 .. 102)
{
	$joiner->start("SELECT presence.join_room('z$i-' || j, 'last', repeat('c', 100), ttl => '1 h') FROM generate_series(1, 3) AS j");
	$app->query("SELECT presence.leave_room('u0-$i', 'many')");
	$joiner->finish;
}
$joiner->quit;
wait_until('the leaves to be told', sub { 100 <= grep { $_->{event} eq 'member_removed' && $_->{user_id} =~ /^u0-/ && $_->{user_id} !~ /^u0-[12]$/ } $listener->events });
pass('a hundred leaves are told, with memory full all the time');
is($app->query('SELECT resyncs FROM presence.stats'), $resyncs, 'no event became a resync');
$listener->follow;
same_worker($node, 'postgres', $worker);

# A database that has nobody yet is refused too, in the same way, and does no harm.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION presence');
like(sqlstate($node, 'other', $full), qr/^(?:53200|00000)$/, 'another database');
is($node->safe_psql('other', "SELECT presence.member_count('full') IN (0, 1000)"), 't', 'all or nobody');

# What was freed can be used again, any number of times: nothing leaks.
for my $round (1 .. 5)
{
	is($app->query("SELECT presence.forget_book('many') > 0"), 't', "round $round: all go");
	my ($again) = fill('many');
	# what others may still see is freed a little later
	cmp_ok($again, '>=', $filled / 2, "round $round: as many come, or nearly");
}
my $members = $app->query("SELECT presence.member_count('many')");
isnt($app->refused("BEGIN; $full; ROLLBACK"), '', 'refused joins that are rolled back');
for my $round (1 .. 20)
{
	$app->query("ROLLBACK; BEGIN; SELECT presence.forget_book('many'); $full; ROLLBACK");
}
is($app->query("SELECT presence.member_count('many'), presence.touch_room('u0-3', 'many')"), "$members|t", 'leave all as it was');
same_worker($node, 'postgres', $worker);

$_->quit for $app, $listener;
$node->stop;
nothing_crashed($node);
done_testing();
