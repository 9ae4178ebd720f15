# Clients that are told only what has changed in a room know at last what room_members says: under a random
# load with rollbacks and savepoints, over the end of a worker and of the server; and nobody is refused for what is
# remembered for them.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use PresenceLoad;
use PresenceTest;

my $json = JSON::PP->new->utf8->canonical;
my $checks = 0;
my $node = presence_node('changes', conf => "max_connections = 60\ndeadlock_timeout = '20ms'\nrestart_after_crash = on");
$node->safe_psql('postgres', "SELECT presence.join_room('first', 'start', ttl => '1 h')");
wait_for_worker($node, 'postgres');

# A client of a room: what it knows, and how often it was told in which way.
sub client
{
	my ($room) = @_;
	return { room => $room, version => undef, members => {}, list => 0, changes => 0, nothing => 0, told => 0 };
}

# One poll by a session, which may be in a transaction of its own.
sub poll
{
	my ($session, $client) = @_;
	my $known = $client->{version} // 'NULL';
	my $row = $session->query(
		"SELECT row_to_json(p) FROM presence.poll_room_changes('nobody', '$client->{room}', '', $known) AS p");
	return 0 if $session->{error} =~ /could not serialize|current transaction is aborted/; # of a SERIALIZABLE one
	die $session->{error} unless $row;
	my $news = $json->decode($row);
	my ($members, $added, $removed) = @$news{qw(members added removed)};

	$client->{version} = "$news->{version}";
	$client->{members} = {} if $members;
	delete $client->{members}{$_} for @{ $removed // [] };
	$client->{members}{ $_->{user_id} } = $_ for @{ $members // [] }, @{ $added // [] };
	$client->{told} += @{ $added // [] } + @{ $removed // [] };
	return ++$client->{ $members ? 'list' : $added ? 'changes' : 'nothing' };
}

# Who is in a room, by user: from room_members, or the open rows, which may have one more whose lease has ended.
sub there
{
	my ($session, $from) = @_;
	my $list = $session->query(qq{SELECT coalesce(json_object_agg(user_id, json_build_object('user_id', user_id, 'user_info', user_info,
		'is_author', is_author, 'joined_at', to_char(joined_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), '{}') FROM $from});
	return $json->decode($list);
}

# Those of the first who are not in the second, or otherwise.
sub lacking
{
	my ($some, $all) = @_;
	return grep { !$all->{$_} || $json->encode($some->{$_}) ne $json->encode($all->{$_}) } sort keys %$some;
}

# What is wrong with what a client knows: a member whom it lacks, or one who is not in the table; compared
# at a moment when its version is the last one. Nothing is told by waiting for it to come right by itself.
sub wrong
{
	my ($session, $client) = @_;

	for (1 .. 100)
	{
		poll($session, $client);
		my $members = there($session, "presence.room_members('$client->{room}')");
		my $rows = there($session, "presence.room_presence WHERE book_id = '$client->{room}' AND left_at IS NULL");
		my $nothing = $client->{nothing};
		poll($session, $client);
		next if $client->{nothing} == $nothing;
		$checks++;
		my @lacks = lacking($members, $client->{members});
		my @too_many = lacking($client->{members}, $rows);
		return join ' ', @lacks ? "lacks @lacks[0 .. ($#lacks > 9 ? 9 : $#lacks)]" : (),
			@too_many ? "has too many @too_many[0 .. ($#too_many > 9 ? 9 : $#too_many)]" : ();
	}
	return 'it never stood still';
}

# A load for some seconds, with pollers beside it, in all isolation levels.
my @sessions = map { session($node, 'postgres') } 1 .. 3;
my @clients = map { my $room = $_; map { client($room) } 1 .. 2 } qw(r1 r2 r3);

sub load_and_poll
{
	my ($seconds, $while) = @_;
	my ($out, $err) = ('', '');
	my $load = start_load($node, $seconds, 20, \$out, \$err);
	my $n = 0;
	my @wrong;

	while ($out !~ /tps = /)
	{
		$load->pump_nb;
		last unless $load->pumpable;
		my $client = $clients[ int rand @clients ];
		my $session = $sessions[ $n % @sessions ];
		my $level = ('', 'REPEATABLE READ', 'SERIALIZABLE')[ $n % 3 ];
		$session->query("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM presence.room_members('r2')") if $level;
		poll($session, $client);
		poll($session, $clients[0]) if $level;
		$session->query('COMMIT') if $level;
		$while->() if $while && $n == 100;
		next if ++$n % 50;
		# the load stands still for a moment, wherever its transactions are
		kill 'STOP', $load->{KIDS}[0]{PID};
		push @wrong, grep { $_ } map { my $wrong = wrong($session, $_); $wrong && "$_->{room} $wrong" } @clients;
		kill 'CONT', $load->{KIDS}[0]{PID};
	}
	$load->finish;
	is(join(', ', @wrong), '', 'whenever the load stood still, all clients knew who was there');
	is($err =~ s/^pgbench \(.*\n//mr, '', 'no session of the load failed');
	return;
}

for my $round (1 .. 3)
{
	load_and_poll($ENV{PRESENCE_STRESS_SECONDS} // 3,
		$round == 2 ? sub { $node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . worker_pid($node, 'postgres') . ')') } : undef);
	is(wrong($sessions[0], $_), '', "round $round: a client of $_->{room} knows who is there") for @clients;
}
my %sum;
for my $client (@clients)
{
	$sum{$_} += $client->{$_} for qw(list changes nothing told);
}
cmp_ok($sum{changes}, '>', 100, "they were told of changes $sum{changes} times, $sum{told} of them");
cmp_ok($checks, '>', 30, "and what they knew was looked at $checks times");

# A change is told with its commit: not before, and not late.
my $client = client('commits');
my $reader = $sessions[0];
my ($one, $two) = (session($node, 'postgres'), session($node, 'postgres'));
$one->query("SELECT presence.join_room('ann', 'commits', ttl => '1 h')");
poll($reader, $client);
$one->query("BEGIN; SELECT presence.join_room('one', 'commits', ttl => '1 h'); SELECT presence.leave_room('ann', 'commits')");
$two->query("BEGIN; SELECT presence.join_room('two', 'commits', ttl => '1 h')");
poll($reader, $client);
is(join(' ', sort keys %{ $client->{members} }), 'ann', 'what is not committed is not told');
$two->query('COMMIT');
poll($reader, $client);
is(join(' ', sort keys %{ $client->{members} }), 'ann two', 'who commits first is told first');
$one->query('COMMIT');
poll($reader, $client);
is(join(' ', sort keys %{ $client->{members} }), 'one two', 'then who began first');
is("$client->{list} $client->{changes} $client->{nothing}", '1 2 1', 'all as changes, after one list');
$one->query("BEGIN; SELECT presence.join_room('three', 'commits'); SELECT presence.leave_room('two', 'commits'); ROLLBACK");
poll($reader, $client);
is($client->{nothing}, 2, 'a rollback is nothing');

# Right at the edge of what a small room remembers: of any number of changes.
$node->safe_psql('postgres', q{SELECT count(*) FROM generate_series(1, 60) AS i, presence.join_room('e' || i, 'edge', ttl => '1 h')});
$client = client('edge');
poll($reader, $client);
my @wrong;
for my $n (1 .. 60)
{
	$node->safe_psql('postgres', "SELECT count(*) FROM generate_series(1, $n) AS i, presence.join_room('e' || i, 'edge', user_info => '{\"n\": $n}', ttl => '1 h')");
	my $wrong = wrong($reader, $client);
	push @wrong, "$n: $wrong" if $wrong;
}
is(join(', ', @wrong), '', 'of as many changes as fit, or one more, all are told');
cmp_ok($client->{changes}, '>', 10, "$client->{changes} times as changes");
cmp_ok($client->{list}, '>', 10, "$client->{list} times as the list");

# Who slept for long gets the list once; the memory of a large room grows with it, and then reaches back.
my @crowd = map { "user-$_" } 1 .. 2000;
my $all = '{' . join(',', @crowd) . '}';
$node->safe_psql('postgres', "SELECT count(*) FROM presence.join_rooms('$all', array_fill('large'::text, '{2000}'), NULL, NULL, '1 h')");
$client = client('large');
poll($reader, $client);
my $burst = q{SELECT count(*) FROM generate_series(1, 1000) AS i, presence.join_room('user-' || i, 'large', user_info => jsonb_build_object('n', %d), ttl => '1 h')};
my $told = '';
for my $n (1 .. 7)
{
	my $lists = $client->{list};
	$node->safe_psql('postgres', sprintf $burst, $n);
	poll($reader, $client);
	$told .= $client->{list} > $lists ? 'l' : 'c';
}
like($told, qr/^l{1,2}c{5,}$/, "of 1,000 changes at once there is a list at first, then changes: $told");
is(wrong($reader, $client), '', 'and the list is right');
$node->safe_psql('postgres', "SELECT count(*) FROM (SELECT presence.leave_room(u, 'large') FROM unnest('$all'::text[]) AS u) AS l");
poll($reader, $client);
is_deeply([ keys %{ $client->{members} } ], [], 'all have gone');
$_->quit for $one, $two, @sessions;

# A crash: the version is of before it, so the list comes whole; then changes again.
$node->safe_psql('postgres', "SELECT presence.join_room('ann', 'commits', ttl => '1 h')");
$client = client('commits');
my $session = session($node, 'postgres');
poll($session, $client);
my $victim = session($node, 'postgres');
kill 'KILL', $victim->pid;
wait_for_server($node);
$_->quit for $victim, $session;
wait_for_worker($node, 'postgres');
$session = session($node, 'postgres');
$node->safe_psql('postgres', "SELECT presence.join_room(u, 'commits', ttl => '1 h') FROM unnest('{ann,late}'::text[]) AS u");
poll($session, $client);
cmp_ok($client->{list}, '>=', 2, 'after a crash the list comes whole');
# until all is adopted nobody counts versions, and they are hashes
wait_until('versions that are counted', sub { poll($session, $client); return $client->{version} =~ /^\d{15,16}$/ });
is(wrong($session, $client), '', 'and is right');
my %before = %$client;
$node->safe_psql('postgres', "SELECT presence.join_room('later', 'commits', ttl => '1 h')");
poll($session, $client);
is($client->{changes} - $before{changes}, 1, 'and is told of changes again');
is(wrong($session, $client), '', 'which are right');
$session->quit;
nothing_but_the_kill($node);
$node->stop;

# With memory full to the last byte: what is remembered gives way, so that as many can join as without.
sub joined_until_full
{
	my ($node, $while) = @_;
	my $session = session($node, 'postgres');
	my $n = 0;

	while (1)
	{
		my $from = $n * 100;
		$session->query("SELECT count(*) FROM generate_series($from + 1, $from + 100) AS i, presence.join_room('u' || i, 'r' || i, ttl => '1 h')");
		last if $session->{error};
		$while->($session, $from) if $while;
		$n++;
	}
	like($session->{error}, qr/out of memory for presence/, 'memory is full');
	$session->quit;
	return $n;
}

my %full;
for my $with ('without', 'with')
{
	my $small = presence_node("full_$with", conf => "presence.memory_limit = '1MB'\nmax_connections = 20\npresence.max_databases = 2");
	$small->safe_psql('postgres', "SELECT presence.join_room('first', 'r1', ttl => '1 h')");
	wait_for_worker($small, 'postgres');
	$full{$with} = joined_until_full($small, $with eq 'without' ? undef
		: sub { $_[0]->query("SELECT version FROM generate_series($_[1] + 1, $_[1] + 100) AS i, presence.poll_room_changes('nobody', 'r' || i, '', 1)") });
	my $session = session($small, 'postgres');
	my $client = client('r1');
	poll($session, $client);
	is(join(' ', sort keys %{ $client->{members} }), 'first u1', 'he is there');
	$small->safe_psql('postgres', "SELECT presence.leave_room('u1', 'r1')");
	poll($session, $client);
	is($client->{members}{u1}, undef, 'with full memory one is told all the same that he left');
	$session->quit;
	$small->stop;
	nothing_crashed($small);
}
# but for what an allocator of 64 kB at a time keeps of 1 MB
cmp_ok($full{with} / $full{without}, '>', 0.67, "of 100 each: $full{with} with what is remembered, $full{without} without");

# What the log tells of is the kill.
sub nothing_but_the_kill
{
	my ($node) = @_;
	my $log = slurp_file($node->logfile);

	return unlike($log, qr/PANIC|TRAP:|terminated by signal (?!9)/, 'no crash but that one');
}

done_testing();
