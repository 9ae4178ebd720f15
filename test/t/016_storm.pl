# A listener that knows a room by its events alone, while everything goes wrong: sessions
# that join and leave at random, a queue that overflows, a worker that is ended, stopped or
# killed (which restarts the server), a server that is restarted. At every quiet moment it
# knows what the table says.
#
# PRESENCE_STORM_SECONDS is how long each of the storms lasts, 4 by default; PRESENCE_STORM_SEED
# makes what sessions do at random the same each time.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use PresenceLoad;
use PresenceTest;

my $seconds = $ENV{PRESENCE_STORM_SECONDS} || 4;
local $ENV{PGBENCH_RANDOM_SEED} = $ENV{PRESENCE_STORM_SEED} || 'time';
my $node = presence_node('storm',
	conf => "max_connections = 60\ndeadlock_timeout = '20ms'\nrestart_after_crash = on");
$node->safe_psql('postgres', "SELECT presence.join_room('first', 'start', ttl => '1 h')");
wait_for_worker($node, 'postgres');

my ($listener, $resyncs, $seq, %members, %known, %gone, @wrong);

sub key_of
{
	my ($room, $user) = @_;
	return "$room $user";
}

# The rooms as they are; what a listener does after LISTEN, and at a resync.
sub read_rooms
{
	%members = map { my ($id, $key) = split /\|/; ($id => $key) }
	  split /\n/, $node->safe_psql('postgres', "SELECT id, book_id || ' ' || user_id FROM presence.online");
	$known{$_} = 1 for keys %members;
	return;
}

sub start_listening
{
	$listener->quit if $listener;
	$listener = listener($node, 'postgres');
	($resyncs, $seq) = (0, undef);
	read_rooms();
	return;
}

# Applies what has come, by presence_id.
sub follow
{
	my @events = $listener->events;
	my $applied = $listener->{applied} // 0;

	for my $event (@events[ $applied .. $#events ])
	{
		push @wrong, "seq $event->{seq} after $seq" if defined $seq && $event->{seq} <= $seq;
		$seq = $event->{seq};
		if ($event->{event} eq 'resync')
		{
			$resyncs++;
			read_rooms();
			next;
		}
		my $id = $event->{presence_id};
		my $key = key_of($event->{book_id}, $event->{user_id});
		if ($event->{event} eq 'member_added')
		{
			push @wrong, "added again: $id" if $gone{$id};
			push @wrong, "added twice: $id" if $known{$id} && !$members{$id};
			$members{$id} = $key;
			$known{$id} = 1;
		}
		elsif ($event->{event} eq 'member_removed')
		{
			push @wrong, "removed twice: $id" if $gone{$id}++;
			delete $members{$id};
		}
	}
	$listener->{applied} = @events;
	return;
}

# One test: at a quiet moment the listener knows what is there, and so does memory.
sub adds_up
{
	my ($name) = @_;
	my $table;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	# short leases end meanwhile
	ok($node->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM presence.online WHERE user_id <> 'first' AND connections = 0"),
		"$name: nobody is left without a connection");
	wait_until('the short leases to end', sub {
		return $node->safe_psql('postgres',
			"SELECT count(*) FROM presence.connections WHERE ttl < '3 s' OR stand_in IS NOT NULL") eq '0';
	});
	wait_until("$name: the events", sub {
		follow();
		$table = $node->safe_psql('postgres',
			q{SELECT book_id || ' ' || user_id FROM presence.online ORDER BY (book_id || ' ' || user_id) COLLATE "C"});
		return join("\n", sort values %members) eq $table;
	});
	is(join("\n", sort values %members), $table, "$name: the events add up to the table");
	is_deeply([ @wrong[ 0 .. ($#wrong > 4 ? 4 : $#wrong) ] ], [], "$name: each once, and in order");
	is($node->safe_psql('postgres',
			'SELECT count(*) FROM (SELECT FROM presence.room_presence WHERE left_at IS NULL
			 GROUP BY user_id, book_id HAVING count(*) > 1) AS twice'), '0', "$name: nobody twice");
	is($node->safe_psql('postgres', q{SELECT presence.touch(COALESCE(array_agg(id), '{}')) FROM presence.connections}),
		'{}', "$name: every connection can be heard");
	return;
}

# The queue that a database has for its events. A machine that is busy for a moment
# overflows a small one.
sub queue_size
{
	my ($size) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET presence.event_queue_size = '$size'");
	$node->reload;
	return;
}

# A load of some seconds with something in its midst.
sub storm
{
	my ($name, $fails, $code) = @_;
	my ($out, $err) = ('', '');
	my $load = start_load($node, $seconds, 30, \$out, \$err);

	for (1 .. 10 * $seconds / 4)
	{
		$load->pump_nb;
		usleep(100_000);
	}
	$code->();
	$load->finish;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($load->full_result(0) == 0 ? 'goes on' : 'fails', $fails ? 'fails' : 'goes on', "$name: the load");
	return;
}

start_listening();
storm('nothing', 0, sub { follow() });
adds_up('nothing');
is($resyncs, 0, 'nothing: no resync');

queue_size('64kB');
storm('overflow', 0, sub {
	my $worker = wait_for_worker($node, 'postgres');
	kill 'STOP', $worker;
	usleep(1_500_000);
	kill 'CONT', $worker;

	# whatever the load has filled of it, on a slow machine, or while it waited for a lock of the worker's
	stop_worker($node, $worker);
	$node->safe_psql('postgres', q{SELECT count(*) FROM presence.join_rooms(
		ARRAY(SELECT 'many-' || i FROM generate_series(1, 1000) AS i), array_fill('many'::text, ARRAY[1000]),
		array_fill(''::text, ARRAY[1000]), NULL, '2 s')});
	kill 'CONT', $worker;
});
adds_up('overflow');
cmp_ok($resyncs, '>', 0, 'overflow: a resync said so');

my $before = $resyncs;
storm('ended worker', 0, sub {
	for (1 .. 3)
	{
		my $worker = wait_for_worker($node, 'postgres');
		kill 'TERM', $worker;
		wait_for_worker($node, 'postgres', $worker);
	}
});
adds_up('ended worker');

storm('killed worker', 1, sub { kill 'KILL', wait_for_worker($node, 'postgres') });
wait_for_server($node);
start_listening();
$node->safe_psql('postgres', "SELECT presence.join_room('first', 'start', ttl => '1 h')");
storm('after the crash', 0, sub { follow() });
adds_up('after the crash');

storm('restart', 1, sub { $node->restart });
start_listening();
$node->safe_psql('postgres', "SELECT presence.join_room('first', 'start', ttl => '1 h')");
storm('after the restart', 0, sub { follow() });
adds_up('after the restart');

is($node->safe_psql('postgres',
		'SELECT count(*) FROM presence.room_presence WHERE left_at < joined_at OR last_active_at > left_at'),
	'0', 'no stay ends before it began');
$listener->quit;
$node->stop;
done_testing();
