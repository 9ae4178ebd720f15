# What the functions run on the tables, as auto_explain sees it: nothing for a tab, no statement
# for a join or a leave, and for the rest plans that hold whatever the statistics say.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('plans', conf => q{
session_preload_libraries = 'auto_explain'
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
autovacuum = off
});

# The plans of our statements that a session's calls run; each has begun with "Query Text:".
sub plans
{
	my ($session, $sql) = @_;
	my $from = -s $node->logfile;

	$session->query($sql);
	return grep { /^Query Text: .*presence\.(?:room_presence|connection) AS/ }
	  split /^.*?(?=Query Text: )/m, slurp_file($node->logfile, $from);
}

# A session that has made its plans.
sub warm_session
{
	my $session = session($node, 'postgres');

	$session->query(q{SELECT presence.join_room('warm', 'b', 'tab', ttl => '1 h'), presence.leave_room('warm', 'b')});
	return $session;
}

my $session = warm_session();
is(join("\n", plans($session, q{SELECT presence.join_room('ann', 'b', 'tab-1', ttl => '1 h')})), '', 'a join is no statement');
is(join("\n", plans($session, q{SELECT presence.join_room('ann', 'b', 'tab-2', ttl => '1 h');
	SELECT presence.touch_room('ann', 'b', 'tab-2'); SELECT presence.leave_room('ann', 'b', 'tab-2')})), '', 'nor is a tab more and less');
is(join("\n", plans($session, q{SELECT * FROM presence.room_members('b'); SELECT presence.member_count('b'); SELECT * FROM presence.user_rooms('ann')})),
	'', 'nor what a room or a user has: a plan could take the index of the other');
is(join("\n", plans($session, q{SELECT presence.leave_room('ann', 'b')})), '', 'nor is a leave');
is(join("\n", plans($session, q{SELECT presence.drop_connections(array_agg(connection))
	FROM presence.join_rooms('{ann,ben}', '{b,b}', NULL, NULL, '1 h')})), '', 'nor are many');
$node->safe_psql('postgres', q{
	CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER own BEFORE INSERT OR UPDATE ON presence.room_presence FOR EACH ROW EXECUTE FUNCTION pass();
});
like((plans($session, q{SELECT presence.join_room('ann', 'b', 'tab-1', ttl => '1 h')}))[0], qr/INSERT INTO presence/,
	'with a trigger of the owner\'s a join is a statement');
like((plans($session, q{SELECT presence.leave_room('ann', 'b')}))[0], qr/UPDATE presence/, 'and so is a leave');

# Nobody is online and there is a history, and that is what the statistics say when thousands join.
$node->safe_psql('postgres', q{
	INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at, left_at, leave_reason)
	SELECT i % 5000, i % 300, now() - interval '2 h', now() - interval '1 h', now() - interval '1 h', 'left'
	FROM generate_series(1, 200000) AS i;
	VACUUM ANALYZE presence.room_presence;
});

# One call of each, in a session whose plans are of this moment; the tables they read from end to end, and the slowest.
my @calls = (
	q{SELECT presence.leave_room('10', 'crowd')},
	q{SELECT presence.join_room('10', 'crowd', 'tab', ttl => '1 h')},
	q{SELECT presence.drop_connections(ARRAY[(SELECT id FROM presence.connections WHERE user_id = '10' LIMIT 1)])},
	q{SELECT count(*) FROM presence.join_rooms('{10,11}', '{crowd,crowd}', NULL, NULL, '1 h')},
	q{SELECT count(*) FROM presence.room_members('crowd-2')},
	q{SELECT presence.member_count('crowd-2')},
	q{SELECT count(*) FROM presence.user_rooms('12')},
	q{SELECT count(*) FROM presence.online_users('{12,13}')},
	q{SELECT count(*) FROM presence.last_seen('{12,13}')},
	q{SELECT members IS NULL FROM presence.poll_room('10', 'crowd-2', 'tab')},
	q{SELECT b.added IS NULL FROM presence.poll_room_changes('10', 'crowd-2', 'tab') AS a, presence.poll_room_changes('10', 'crowd-2', 'tab', a.version) AS b},
	q{SELECT presence.forget_user('4999')},
);

sub costs
{
	my ($name) = @_;
	my $session = warm_session();
	my @plans = map { plans($session, $_) } @calls, @calls;
	my @read = map { /(?:actual time=\S+ rows=|Rows Removed by [\w ]+: )(\d+)/g } @plans;

	is(join("\n", grep { /Seq Scan on (?:room_presence|connection)/ } @plans), '', "$name: no table is read from end to end");
	cmp_ok((sort { $b <=> $a } @read)[0], '<=', 500, "$name: no step of a plan reads more than is there");
	$session->quit;
	return;
}

my $small = q{SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT i::text FROM generate_series(1, 100) AS i),
	array_fill('crowd-2'::text, '{100}'), NULL, NULL, '1 h')};
my $crowd = q{SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT i::text FROM generate_series(1, 20000) AS i),
	array_fill('crowd'::text, '{20000}'), NULL, NULL, '1 h')};
my $before = warm_session();

for my $trigger ('with a trigger', 'without')
{
	$node->safe_psql('postgres', 'DROP TRIGGER own ON presence.room_presence') if $trigger eq 'without';
	$node->safe_psql('postgres', $small);
	costs("$trigger, nobody online when it was analyzed");
	$node->safe_psql('postgres', $crowd);
	costs("$trigger, 20,000 have joined since");
	$node->safe_psql('postgres', 'VACUUM ANALYZE presence.room_presence');
	costs("$trigger, analyzed since");
	$node->safe_psql('postgres', q{SELECT presence.leave_room(i::text, 'crowd') FROM generate_series(1, 20000) AS i; VACUUM ANALYZE presence.room_presence});
}

$node->stop;
nothing_crashed($node);
done_testing();
