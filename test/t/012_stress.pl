# Fifty sessions join and leave at random for a while, with tabs, savepoints and
# rollbacks, in all isolation levels. Then everything must add up.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $duration = $ENV{PRESENCE_STRESS_SECONDS} // 10;
my $node = presence_node('stress', conf => "max_connections = 80\ndeadlock_timeout = '20ms'");
$node->safe_psql('postgres', "SELECT presence.join_room('first', 'start', ttl => '1 h')");
wait_for_worker($node, 'postgres');

# Few users, few rooms, short leases: everybody meets everybody.
my %script = (
	'join' => q{SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab, ttl => '2 s');},
	'second' => q{SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab,
		jsonb_build_object('n', :tab::int), :tab::int % 2 = 0);},
	'leave' => q{SELECT presence.leave_room('u' || :user, 'r' || :room, 't' || :tab);},
	'leave_all' => q{SELECT presence.leave_room('u' || :user, 'r' || :room);},
	'touch' => q{SELECT presence.touch_room('u' || :user, 'r' || :room, 't' || :tab);},
	'poll' => q{SELECT presence.poll_room('u' || :user, 'r' || :room, 't' || :tab);},
	'drop' => q{SELECT presence.drop_connections(array_agg(connection))
		FROM presence.join_room('u' || :user, 'r' || :room, 'd' || :tab);},
	'batch' => q{SELECT count(*) FROM presence.join_rooms(
		ARRAY['u' || :user, 'u' || :tab, 'u' || :user], ARRAY['r' || :room, 'r' || :room, 'r1'],
		ARRAY['b' || :tab, 'b1', 'b2'], NULL, '2 s');},
	'sweep' => q{SELECT presence.sweep();},
	'forget' => q{SELECT presence.forget_user('u' || :user);},
	'rollback' => q{BEGIN;
		SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab);
		SELECT presence.leave_room('u' || :user, 'r' || :room);
		ROLLBACK;},
	'savepoint' => q{BEGIN;
		SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab);
		SAVEPOINT s;
		SELECT presence.leave_room('u' || :user, 'r' || :room);
		ROLLBACK TO s;
		SAVEPOINT t;
		SELECT presence.touch_room('u' || :user, 'r' || :room, 't' || :tab);
		RELEASE t;
		COMMIT;},
	'serializable' => q{BEGIN ISOLATION LEVEL SERIALIZABLE;
		SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab);
		SELECT presence.leave_room('u' || :user, 'r' || :room, 't' || :tab);
		COMMIT;},
	'repeatable' => q{BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT presence.member_count('r' || :room);
		SELECT presence.leave_room('u' || :user, 'r' || :room, 't' || :tab);
		COMMIT;});
my %weight = (join => 30, second => 10, leave => 20, touch => 20, forget => 1, sweep => 1);

my $listener = listener($node, 'postgres');
my @files;
for my $name (sort keys %script)
{
	my $file = $node->basedir . "/$name.pgbench";
	append_to_file($file,
		"\\set user random(1, 6)\n\\set room random(1, 3)\n\\set tab random(1, 3)\n" . $script{$name} . "\n");
	push @files, '-f', $file . '@' . ($weight{$name} // 5);
}
# serialization failures and deadlocks are retried, so what is left is an error
my ($out, $err);
my $bench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', '50', '-j', '2', '-T', $duration, '--max-tries=1000', '-M', 'prepared',
		'--failures-detailed', @files, $node->connstr('postgres') ],
	'>', \$out, '2>', \$err, IPC::Run::timeout(10 * $PostgreSQL::Test::Utils::timeout_default));
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
is($node->safe_psql('postgres', "SELECT count(*) FROM presence.connection WHERE user_id <> 'first'"),
	'0', 'nor does a connection');
is($node->safe_psql('postgres',
		'SELECT count(*) FROM presence.room_presence WHERE left_at < joined_at OR last_active_at > left_at'),
	'0', 'no stay ends before it began');

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

# What serialization failures and deadlocks leave in the log is no error.
sub check_log
{
	my $log = slurp_file($node->logfile);
	my @errors = grep { !/could not serialize access|deadlock detected/ } $log =~ /^.*(?:ERROR|WARNING|PANIC|TRAP):.*$/mg;
	diag($_) for @errors[ 0 .. ($#errors > 9 ? 9 : $#errors) ];
	return !@errors;
}

$listener->quit;
$node->stop;
done_testing();
