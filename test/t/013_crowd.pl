# Fifty sessions at once, in READ COMMITTED, each transaction about one user in one room, or
# one call about many: nothing fails but a rare deadlock, and afterwards
# the events, the table and the connections say the same.
#
# PRESENCE_STRESS_SECONDS is how long they go on, 20 by default.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use PresenceTest;

my $duration = $ENV{PRESENCE_STRESS_SECONDS} // 20;
my $node = presence_node('crowd',
	conf => "max_connections = 80\nlog_statement = none\nlog_min_error_statement = log\ndeadlock_timeout = '100 ms'");

# Eight users with three tabs in four rooms; leases of a second, and of an hour.
my $who = "'u' || :user, 'r' || :room";
my %scripts = (
	join_short => [ 20, "SELECT presence.join_room($who, 't' || :tab, ttl => '1 s');" ],
	join_long => [ 20, "SELECT presence.join_room($who, 't' || :tab, ttl => '1 h');" ],
	info => [ 5, "SELECT presence.join_room($who, 't' || :tab, jsonb_build_object('n', :tab), ttl => '1 h');" ],
	leave_tab => [ 20, "SELECT presence.leave_room($who, 't' || :tab);" ],
	leave => [ 5, "SELECT presence.leave_room($who);" ],
	touch_room => [ 10, "SELECT presence.touch_room($who, 't' || :tab);" ],
	poll_room => [ 5, "SELECT presence.poll_room($who, 't' || :tab);" ],
	touch => [ 10, q{SELECT presence.touch(COALESCE(array_agg(id), '{}')) FROM presence.connections WHERE book_id = 'r' || :room OR user_id = 'u' || :user;} ],
	drop => [ 5, q{SELECT presence.drop_connections(COALESCE(array_agg(id), '{}')) FROM presence.connections
		WHERE book_id = 'r' || :room AND connection_id = 't' || :tab;} ],
	linger => [ 2, q{BEGIN;
		SET LOCAL presence.linger = '500 ms';
		SELECT presence.drop_connections(COALESCE(array_agg(id), '{}')) FROM presence.connections
			WHERE book_id = 'r' || :room AND user_id = 'u' || :user AND connection_id = 't' || :tab;
		COMMIT;} ],
	batch => [ 5, q{SELECT count(*) FROM presence.join_rooms(
			ARRAY(SELECT 'u' || i FROM generate_series(1, 8) AS i ORDER BY i * :tab % 5, i),
			array_fill('r' || :room, ARRAY[8]), array_fill('t' || :tab, ARRAY[8]), NULL, '1 s');} ],
	sweep => [ 1, 'SELECT presence.sweep();' ],
	rollback => [ 5, qq{BEGIN;
		SELECT presence.join_room($who, 't' || :tab);
		SELECT presence.leave_room($who, 't' || :tab);
		ROLLBACK;} ],
	savepoint => [ 5, qq{BEGIN;
		SELECT presence.join_room($who, 't' || :tab, ttl => '1 h');
		SAVEPOINT a;
		SELECT presence.leave_room($who);
		ROLLBACK TO a;
		\\if :tab > 1
		SELECT presence.leave_room($who, 't1');
		\\endif
		COMMIT;} ],
	reads => [ 5, q{SELECT count(*) FROM presence.room_members('r' || :room);
		SELECT count(*) FROM presence.online;} ]);
my @files;
for my $name (sort keys %scripts)
{
	my ($weight, $sql) = @{ $scripts{$name} };
	my $file = $node->basedir . "/$name.pgbench";

	# a statement ends its line; what goes on on the next one has a backslash
	$sql =~ s/\n\s*/\n/g;
	append_to_file($file, "\\set user random(1, 8)\n\\set room random(1, 4)\n\\set tab random(1, 3)\n$sql\n");
	push @files, '-f', "$file\@$weight";
}

my $listener = listener($node, 'postgres');
my ($out, $error) = ('', '');
my $bench = IPC::Run::start(
	[ $node->installed_command('pgbench'), '-n', '-c', '50', '-j', '2', '-T', $duration,
		'--failures-detailed', '--max-tries=100', @files, $node->connstr('postgres') ],
	'>', \$out, '2>', \$error, IPC::Run::timeout($duration + $PostgreSQL::Test::Utils::timeout_default));
my $twice = '';
my $watch = session($node, 'postgres');
while ($bench->pumpable)
{
	$bench->pump_nb;
	$listener->arrived;
	$twice .= $watch->query('SELECT user_id, book_id FROM presence.room_presence WHERE left_at IS NULL
		GROUP BY 1, 2 HAVING count(*) > 1');
	usleep(200_000);
}
$bench->finish;
is($bench->full_result(0), 0, 'no session ended before its time');
is($error =~ s/^pgbench \(.*\n//mr, '', 'no error');
like($out, qr/^number of failed transactions: 0 /m, 'no transaction fails for good');
my ($transactions) = $out =~ /number of transactions actually processed: (\d+)/;
cmp_ok($transactions, '>', 100 * $duration, "$transactions transactions");
is($twice, '', 'never two open presences of one user in one room');

# Those with a short lease go, the others stay.
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM presence.connections WHERE ttl < '1 min' OR stand_in IS NOT NULL"),
	'nobody stays past his lease');
is($watch->query("SELECT count(*) FROM presence.room_presence WHERE left_at < joined_at OR left_at < last_active_at OR (left_at IS NULL) <> (leave_reason IS NULL)"),
	'0', 'each stay is in order');
is($watch->query(q{
		SELECT count(*) FROM presence.connections AS c WHERE NOT EXISTS (SELECT FROM presence.room_presence AS p
			WHERE p.book_id = c.book_id AND p.id = c.presence_id AND p.user_id = c.user_id AND p.left_at IS NULL)}),
	'0', 'no connection without an open presence');
is($watch->query(q{
		SELECT count(*) FROM presence.room_presence AS p WHERE p.left_at IS NULL
			AND NOT EXISTS (SELECT FROM presence.connections AS c WHERE c.book_id = p.book_id AND c.presence_id = p.id)}),
	'0', 'no open presence without a connection');

# The events, replayed
my $json = JSON::PP->new->utf8;
my (%added, %removed, %open, %info, @wrong);
my $resyncs = 0;
my @payloads = $listener->payloads;
for my $payload (@payloads)
{
	my $event = $json->decode($payload);
	my $kind = $event->{event};
	my $key = join ' ', $event->{book_id} // '', $event->{user_id} // '';
	my $id = $event->{presence_id} // 0;

	if ($kind eq 'member_added')
	{
		push @wrong, "added again: $payload" if $added{$id}++ || exists $open{$key};
		$open{$key} = $id;
		$info{$key} = $event->{user_info}{n} // '';
	}
	elsif ($kind eq 'member_removed')
	{
		push @wrong, "removed, but not there: $payload" if $removed{$id}++ || ($open{$key} // 0) != $id;
		delete $open{$key};
	}
	elsif ($kind eq 'member_updated')
	{
		push @wrong, "updated, but not there: $payload" if ($open{$key} // 0) != $id;
		$info{$key} = $event->{user_info}{n} // '';
	}
	else
	{
		$resyncs++;
	}
}
note(scalar(@payloads) . ' events');
cmp_ok(scalar(keys %removed), '>', 10 * $duration, scalar(keys %removed) . ' presences came and went');
is($resyncs, 0, 'no event was dropped');
is_deeply([ @wrong[ 0 .. ($#wrong < 4 ? $#wrong : 4) ] ], [], 'each presence is added once, and then removed once at most');
is( join("\n", map { "$_ $open{$_} $info{$_}" } sort keys %open),
	$watch->query(q{
		SELECT concat_ws(' ', book_id, user_id, id, COALESCE(user_info ->> 'n', '')) FROM presence.room_presence
		WHERE left_at IS NULL ORDER BY book_id COLLATE "C", user_id COLLATE "C"}),
	'the events add up to the table');
is( join("\n", map { "$_ $open{$_}" } sort keys %open),
	$watch->query(q{
		SELECT concat_ws(' ', o.book_id, o.user_id, o.id) FROM presence.online AS o
		WHERE o.user_id IN (SELECT m.user_id FROM presence.room_members(o.book_id) AS m)
		ORDER BY o.book_id COLLATE "C", o.user_id COLLATE "C"}),
	'and to the member lists');
is($watch->query("SELECT count(*) FROM presence.room_presence WHERE left_at IS NOT NULL AND NOT id = ANY ('{"
		. join(',', keys %removed) . "}')"),
	'0', 'whoever has left was told of');

$_->quit for $listener, $watch;
$node->stop('fast');
nothing_crashed($node);
my $log = slurp_file($node->logfile);
my @errors = grep { !/canceling autovacuum|deadlock detected/ } $log =~ /^.*(?:ERROR|WARNING):.*$/mg;
is(scalar(@errors), 0, 'nothing in the log');
# touch() of a tab that is joined again at the same moment can be one
my $deadlocks = () = $log =~ /ERROR:  deadlock detected/g;
cmp_ok($deadlocks, '<=', $transactions / 2000, "$deadlocks deadlocks");
diag($_) for @errors[ 0 .. ($#errors < 4 ? $#errors : 4) ];
done_testing();
