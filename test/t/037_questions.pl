# The questions of docs/questions.md, on a large history that nobody has analyzed: every query of the page
# runs, none reads the table from end to end, and each reads what the page says of its index.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('questions', conf => q{
session_preload_libraries = 'auto_explain'
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
autovacuum = off
});

# 400,000 stays in 400 rooms, by 5,000 users, over 50 days: 1,000 in a room, 80 of a user.
$node->safe_psql('postgres', q{
	INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at, left_at, leave_reason)
	SELECT 'u' || i * 7919::bigint % 5000, CASE i % 400 WHEN 0 THEN 'moby-dick' ELSE 'room-' || i % 400 END,
		at, at + '20 min', at + '20 min', 'left'
	FROM generate_series(1, 400000) AS i, LATERAL (SELECT now() - interval '50 days' + i * interval '10.8 s' AS at) AS t;
	UPDATE presence.room_presence SET user_id = 'ann' WHERE user_id = 'u7';
	SELECT count(*) FROM presence.join_rooms('{ann,ben,cy}', '{moby-dick,moby-dick,emma}', NULL, NULL, '1 h');
});

# The statements of the page.
my $page = slurp_file(dirname(abs_path($INC{'PresenceTest.pm'})) . '/../../docs/questions.md');
my @queries = map { split /(?<=;)\n/ } $page =~ /^```sql\n(.*?)^```$/msg;
cmp_ok(scalar(@queries), '>=', 9, 'there are queries');

# What a statement and those of its functions on the table read, and the greatest number of rows of a step.
sub plans
{
	my ($session, $sql) = @_;
	my $from = -s $node->logfile;

	$session->query($sql);
	is($session->{error}, '', (split /\n/, $sql)[0]);
	my $log = substr slurp_file($node->logfile), $from;
	my @plans = grep { /^Query Text: .*presence\.room_presence AS|on room_presence/s } split /^.*?(?=Query Text: )/m, $log;
	my @read = map { /(?:actual time=\S+ rows=|Rows Removed by [\w ]+: )(\d+)/g } @plans;
	return (join("\n", @plans), (sort { $b <=> $a } @read, 0)[0]);
}

# Functions have their plans whatever the statistics say; the page's own statements need them.
my $session = session($node, 'postgres');
my %index = (last_seen => 'room_presence_user_idx', online_users => '',
	largest_rooms => 'room_presence_room_idx', busiest_hours => 'room_presence_pkey',
	average_stay => 'room_presence_pkey', peak_members_by_day => 'room_presence_pkey');
my %asked;
for my $round ('never analyzed', 'analyzed')
{
	for my $query (@queries)
	{
		my ($function) = $query =~ /presence\.(\w+)\(/;
		my $is_own = $query =~ /FROM presence\.room_presence/;

		next if $round eq 'analyzed' && $query =~ /^CREATE/ || $round ne 'analyzed' && $is_own;
		my ($plans, $most) = plans($session, $query);
		$session->query(q{INSERT INTO friendship SELECT 'ann', 'u' || i FROM generate_series(1, 50) AS i}) if $query =~ /^CREATE TABLE friendship/;
		next unless $function || $is_own;
		unlike($plans, qr/Seq Scan on room_presence/, "$round: no table is read from end to end");
		like($plans, qr/(?:using|on) $index{$function}/, "$round: $function by its index") if $function && $index{$function};
		is($plans, '', "$round: $function is no statement") if $function && !$index{$function};
		cmp_ok($most, '<=', $function ? 1_100 : 9_000, "$round: it reads what it asks for, $most rows");
		$asked{ $function // 'SQL' }++;
	}
	$node->safe_psql('postgres', 'VACUUM ANALYZE presence.room_presence');
	$session->quit;
	$session = session($node, 'postgres');
}
is_deeply([ sort keys %asked ], [ sort 'SQL', keys %index ], 'all questions were asked');

# What they say is what a slow query of the table says.
$session->query(q{SET TimeZone = 'UTC'; SET enable_indexscan = off; SET enable_bitmapscan = off});
is($session->query(q{SELECT count(*) FROM presence.peak_members_by_day('moby-dick', now() - interval '30 days') AS d,
	LATERAL (SELECT max((SELECT count(*) FROM presence.room_presence AS p WHERE p.book_id = 'moby-dick' AND p.joined_at <= at.joined_at
		AND (p.left_at > at.joined_at) IS NOT FALSE)) AS members
		FROM presence.room_presence AS at WHERE at.book_id = 'moby-dick' AND at.joined_at >= d.day AND at.joined_at < d.day + 1) AS slow
	WHERE d.members < slow.members}), '0', 'no moment of a day has more than its peak');
is($session->query(q{SELECT abs(sum(h.average_members) * 3600 * 30 - s.seconds) < 60
	FROM presence.busiest_hours('moby-dick', date_trunc('day', now()) - interval '30 days', date_trunc('day', now())) AS h,
	(SELECT sum(extract(epoch FROM least(left_at, date_trunc('day', now())) - greatest(joined_at, date_trunc('day', now()) - interval '30 days'))) AS seconds
		FROM presence.room_presence WHERE book_id = 'moby-dick' AND joined_at < date_trunc('day', now())
		AND left_at > date_trunc('day', now()) - interval '30 days') AS s GROUP BY s.seconds}), 't', 'the hours add up to the time spent');
is($session->query(q{SELECT a.stays = s.stays AND a.users = s.users AND a.average = s.average
	FROM presence.average_stay('moby-dick', now() - interval '30 days') AS a,
	(SELECT count(*) AS stays, count(DISTINCT user_id) AS users, avg(left_at - joined_at) AS average FROM presence.room_presence
		WHERE book_id = 'moby-dick' AND left_at >= now() - interval '30 days' AND left_at < now()) AS s}), 't', 'the stays are those of the table');
is($session->query(q{SELECT string_agg(book_id || ' ' || members, ', ') FROM presence.largest_rooms()}), 'moby-dick 2, emma 1', 'so are the rooms');

$session->quit;

# Blocks of the table's indexes that a query of a session reads.
sub blocks
{
	my ($session, $sql) = @_;
	my $count = q{SELECT sum(idx_blks_hit + idx_blks_read) FROM pg_statio_user_indexes WHERE relname = 'room_presence'};

	$session->query('SELECT pg_stat_force_next_flush()');
	my $before = $session->query($count);
	$session->query($sql);
	is($session->{error}, '', (split /\n/, $sql)[0]);
	$session->query('SELECT pg_stat_force_next_flush()');
	return $session->query($count) - $before;
}

# A session that has asked while nobody was there asks again when thousands are, and so does one that comes then, while
# the statistics still say that nobody is there.
my %by_user = (user_rooms => q{SELECT count(*) FROM generate_series(1, 100) AS i, presence.user_rooms('c' || i)},
	online_users => q{SELECT count(*) FROM presence.online_users(ARRAY(SELECT 'c' || i FROM generate_series(1, 100) AS i))},
	last_seen => q{SELECT count(*) FROM presence.last_seen(ARRAY(SELECT 'c' || i FROM generate_series(1, 100) AS i))});
$node->safe_psql('postgres', q{SELECT presence.leave_room(user_id, book_id) FROM presence.online});
$node->safe_psql('postgres', 'VACUUM ANALYZE presence.room_presence');
$session = session($node, 'postgres');
$session->query($_) for values %by_user;
$node->safe_psql('postgres', q{SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'c' || i FROM generate_series(1, 20000) AS i),
	ARRAY(SELECT 'room-' || i % 400 FROM generate_series(1, 20000) AS i), NULL, NULL, '1 h')});
my %session = (old => $session, new => session($node, 'postgres'));
for my $age (sort keys %session)
{
	for my $function (sort keys %by_user)
	{
		cmp_ok(blocks($session{$age}, $by_user{$function}), '<=', 100 * 16,
			"$function of 100, of 20,000 who came since, in a session that is $age: a few blocks each");
		is($session{$age}->query($by_user{$function}), '100', 'all are found');
	}
}
$session{new}->quit;

$session->quit;
$node->stop;
nothing_crashed($node);
done_testing();
