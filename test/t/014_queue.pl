# Events on their way through shared memory: a queue that is full, a worker
# that is stopped, killed or late, transactions that fail while they commit.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('queue', init => { allows_streaming => 1 },
	conf => "presence.event_queue_size = '64kB'\nmax_prepared_transactions = 2\nrestart_after_crash = on");
$node->safe_psql('postgres', "SELECT presence.join_room('first', 'start')");
my $worker = wait_for_worker($node, 'postgres');
my $listener = listener($node, 'postgres');

# One test: the numbers of all events so far follow each other.
sub gapless
{
	my ($name) = @_;
	my @seq = map { $_->{seq} } $listener->events;

	is_deeply(\@seq, [ $seq[0] .. $seq[0] + $#seq ], $name);
}

sub join_many
{
	my ($room, $from, $to) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM generate_series($from, $to) AS i, presence.join_room('user-' || i, '$room')");
}

# The users that a listener thinks are in a room, by the events alone.
sub members_by_events
{
	my ($room) = @_;
	my %members;

	for my $event ($listener->events)
	{
		next unless ($event->{book_id} // '') eq $room;
		$members{ $event->{user_id} } = 1 if $event->{event} eq 'member_added';
		delete $members{ $event->{user_id} } if $event->{event} eq 'member_removed';
	}
	return join ' ', sort keys %members;
}

# A worker that does not run: the queue takes what it can, nobody waits or fails.
stop_worker($node, $worker);
quick(10, 'joins while the worker does not run', sub { join_many('few', 1, 10) });
is($node->safe_psql('postgres', 'SELECT queued FROM presence.stats'), '10', 'their events are queued');
kill 'CONT', $worker;
is(scalar(split / /, members_by_events('few')), 10, 'and sent when it goes on');
gapless('one number after the other');

stop_worker($node, $worker);
quick(20, 'joins while the queue is full',
	sub { join_many('many', $_ * 100 + 1, $_ * 100 + 100) for 0 .. 9; });
is($node->safe_psql('postgres', "SELECT presence.member_count('many')"), '1000', 'are all members');
kill 'CONT', $worker;
wait_until('a resync', sub { grep { $_->{event} eq 'resync' } $listener->events });
cmp_ok(scalar(split / /, members_by_events('many')), '<', 1000, 'some events were dropped');
is($node->safe_psql('postgres', 'SELECT resyncs > 0 FROM presence.stats'), 't', 'presence.stats counts the resyncs');
gapless('a resync has its number as well');
join_many('after', 1, 3);
is(members_by_events('after'), 'user-1 user-2 user-3', 'and then events again');

# A worker that ends with events it has not sent loses none of them.
my $resyncs = $node->safe_psql('postgres', 'SELECT resyncs FROM presence.stats');
stop_worker($node, $worker);
join_many('lost', 1, 3);
kill 'TERM', $worker;
kill 'CONT', $worker;
my $next = wait_for_worker($node, 'postgres', $worker);
is(members_by_events('lost'), 'user-1 user-2 user-3', 'the next worker sends what was left');
is($node->safe_psql('postgres', 'SELECT resyncs FROM presence.stats'), $resyncs, 'and has no resync to tell');
join_many('found', 1, 2);
is(members_by_events('found'), 'user-1 user-2', 'and sends what comes');
$worker = $next;

# No worker for a while: transactions notify by themselves.
for my $try (1 .. 5)
{
	kill 'TERM', $worker;
	wait_until('the worker to be gone', sub { worker_pid($node, 'postgres') ne $worker });
	join_many("alone-$try", 1, 2);
	is(members_by_events("alone-$try"), 'user-1 user-2', "events while the worker restarts, $try");
	$worker = wait_for_worker($node, 'postgres', $worker);
}

# A transaction that fails after it has appended its events: no event.
$node->safe_psql('postgres', 'CREATE TABLE doctor (name text, on_call boolean)');
$node->safe_psql('postgres', "INSERT INTO doctor VALUES ('a', true), ('b', true)");
my @session = map { session($node, 'postgres') } 0 .. 1;
for my $i (0 .. 1)
{
	$session[$i]->query('BEGIN ISOLATION LEVEL SERIALIZABLE');
	$session[$i]->query('SELECT count(*) FROM doctor WHERE on_call');
}
for my $i (0 .. 1)
{
	$session[$i]->query('UPDATE doctor SET on_call = false WHERE name = ' . ('\'a\'', '\'b\'')[$i]);
	$session[$i]->query("SELECT presence.join_room('skew-$i', 'skew')");
}
my @error = map { $_->refused('COMMIT') } @session;
is(scalar(grep { $_ ne '' } @error), 1, 'one of two transactions fails at commit');
my $skew = members_by_events('skew');
is($skew, $node->safe_psql('postgres', "SELECT string_agg(user_id, ' ') FROM presence.room_members('skew')"),
	'and only the other tells of its member');
$_->quit for @session;

is(sqlstate($node, 'postgres', "BEGIN; SELECT presence.join_room('p', 'prepared'); PREPARE TRANSACTION 'p'"),
	'0A000', 'PREPARE TRANSACTION is refused');

# A commit that takes long holds up nobody else's events.
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->reload;
my $slow = session($node, 'postgres');
$slow->start("SELECT presence.join_room('slow', 'commit')");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
	'a commit waits for a standby');
$node->safe_psql('postgres', "SET synchronous_commit = local; SELECT presence.join_room('fast', 'commit')");
wait_until('the event of a later commit',
	sub { grep { ($_->{user_id} // '') eq 'fast' } map { JSON::PP->new->decode($_) } $listener->arrived });
ok(!(grep { ($_->{user_id} // '') eq 'slow' } map { JSON::PP->new->decode($_) } $listener->arrived),
	'which has passed that of the one that waits');
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->reload;
wait_until('the event of the slow commit',
	sub { grep { ($_->{user_id} // '') eq 'slow' } $listener->events });
$slow->finish;
$slow->quit;

# Each database has its own.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION presence');
my $other = listener($node, 'other');
$node->safe_psql('other', "SELECT presence.join_room('stranger', 'r')");
wait_until('an event in the other database', sub { scalar($other->events) == 1 });
is(($other->events)[0]->{seq}, 1, 'its numbers are its own');
ok(!(grep { ($_->{user_id} // '') eq 'stranger' } $listener->events), 'and so are its events');
$other->quit;
$listener->quit;

# The whole server is restarted by the death of its worker; then all begins anew.
$worker = wait_for_worker($node, 'postgres');
kill 'KILL', $worker;
wait_until('the worker to be gone', sub { !kill 0, $worker });
wait_for_server($node);
wait_for_worker($node, 'postgres', $worker);
$listener = listener($node, 'postgres');
join_many('anew', 1, 2);
is(members_by_events('anew'), 'user-1 user-2', 'events after a crash');
cmp_ok(($listener->events)[0]->{seq}, '<', 10, 'with new numbers');
gapless('that follow each other');
$listener->quit;
$node->stop;
done_testing();
