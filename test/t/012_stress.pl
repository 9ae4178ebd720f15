# Fifty sessions join and leave at random for a while, with tabs, savepoints and
# rollbacks, in all isolation levels. Then everything must add up.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceLoad;
use PresenceTest;

my $duration = $ENV{PRESENCE_STRESS_SECONDS} // 10;
my $node = presence_node('stress', conf => "max_connections = 80\ndeadlock_timeout = '20ms'");
$node->safe_psql('postgres', "SELECT presence.join_room('first', 'start', ttl => '1 h')");
wait_for_worker($node, 'postgres');

my $listener = listener($node, 'postgres');
my ($out, $err);
my $bench = start_load($node, $duration, 50, \$out, \$err);
# at quiet moments or not: never two open presences of one user in one room
while ($bench->pumpable)
{
	$bench->pump_nb;
	my $twice = $node->safe_psql('postgres',
		'SELECT count(*) FROM (SELECT FROM presence.room_presence WHERE left_at IS NULL
		 GROUP BY user_id, book_id HAVING count(*) > 1) AS twice');
	die 'two open presences of one user in one room' if $twice ne '0';
	$listener->arrived;
	last if $out && $out =~ /tps = /;
}
$bench->finish;
is($err =~ s/^pgbench \(.*\n//mr, '', 'no session failed');
is($bench->full_result(0), 0, 'all went on to the end');
my ($transactions) = $out =~ /number of transactions actually processed: (\d+)/;
cmp_ok($transactions // 0, '>', 1000, "enough of it: $transactions transactions");
my ($deadlocks) = $out =~ /number of deadlock failures: (\d+)/;
is($deadlocks, '0', 'no deadlock that a retry did not mend');

# Everybody goes: the leases are short, but for the first user's.
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM presence.room_presence
		 WHERE left_at IS NULL AND user_id <> 'first'"),
	'nobody stays past his lease');
is($node->safe_psql('postgres', "SELECT count(*) FROM presence.connections WHERE user_id <> 'first'"),
	'0', 'nor does a connection');
is($node->safe_psql('postgres',
		'SELECT count(*) FROM presence.room_presence WHERE left_at < joined_at OR last_active_at > left_at'),
	'0', 'no stay ends before it began');

# Memory has what the table has, and nothing else: the first user's tab.
is($node->safe_psql('postgres',
		"SELECT string_agg(user_id || ' ' || connections, ', ') FROM presence.room_members('start')"),
	'first 1', 'one connection is left');
is($node->safe_psql('postgres', 'SELECT presence.touch(array_agg(id)) FROM presence.connections'), '{}', 'which is known');
is($node->safe_psql('postgres', "SELECT cardinality(presence.touch(array_agg(i))) FROM generate_series(1, 100000) AS i"),
	$node->safe_psql('postgres', 'SELECT 100000 - count(*) FROM presence.connections WHERE id <= 100000'), 'and no other');

# Some more, to have somebody there at the end.
$node->safe_psql('postgres',
	"SELECT count(*) FROM generate_series(1, 4) AS i, presence.join_room('u' || i, 'r' || i % 2, ttl => '1 h')");
my @events = $listener->events;
my (%added, %removed, %members, @wrong);
my $updated = 0;
for my $event (@events)
{
	my $id = $event->{presence_id};
	my $key = "$event->{book_id} $event->{user_id}";

	if ($event->{event} eq 'member_added')
	{
		push @wrong, "added twice: $id" if $added{$id}++;
		push @wrong, "added while there: $key" if exists $members{$key};
		$members{$key} = $id;
	}
	elsif ($event->{event} eq 'member_removed')
	{
		push @wrong, "removed twice: $id" if $removed{$id}++;
		push @wrong, "removed but not there: $key $id" if ($members{$key} // 0) != $id;
		delete $members{$key};
	}
	elsif ($event->{event} eq 'member_updated')
	{
		$updated++;
		push @wrong, "updated but not there: $key $id" if ($members{$key} // 0) != $id;
	}
	else
	{
		push @wrong, "unexpected: $event->{event}";
	}
}
is_deeply(\@wrong, [], 'each presence was added once, then removed once, in order');
cmp_ok(scalar(keys %added), '>', 100, 'of ' . keys(%added) . ' presences');
cmp_ok($updated, '>', 0, "and $updated updates");
is( join("\n", map { "$_ $members{$_}" } sort grep { $_ ne 'start first' } keys %members),
	$node->safe_psql('postgres',
		q{SELECT concat_ws(' ', book_id, user_id, id) FROM presence.online WHERE user_id <> 'first'
		  ORDER BY book_id COLLATE "C", user_id COLLATE "C"}),
	'the events add up to the members');
my @seq = map { $_->{seq} } @events;
is_deeply(\@seq, [ $seq[0] .. $seq[0] + $#seq ], 'their numbers have no gap');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL AND user_id <> 'first'"),
	'4', 'and to the table');
my ($joins, $ended) = split /\|/,
  $node->safe_psql('postgres', 'SELECT joins, leaves + timeouts FROM presence.stats');
is($joins - $ended, 5, 'and so do the counters');
ok(!$node->log_contains(qr/ERROR:|WARNING:|PANIC:|TRAP:/) || check_log(), 'nothing else in the log');

# What serialization failures and deadlocks leave in the log is no error; nor is an autovacuum that
# gives way.
sub check_log
{
	my $log = slurp_file($node->logfile);
	my @errors = grep { !/could not serialize access|deadlock detected|canceling autovacuum/ } $log =~ /^.*(?:ERROR|WARNING|PANIC|TRAP):.*$/mg;
	diag($_) for @errors[ 0 .. ($#errors > 9 ? 9 : $#errors) ];
	return !@errors;
}

$listener->quit;
$node->stop;
done_testing();
