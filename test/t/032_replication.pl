# Rows that come from elsewhere: by logical replication of all tables, or copied into a fresh
# database whose sequence lags behind. Joins work, and nobody ends whom he did not open.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $publisher = presence_node('publisher', init => { allows_streaming => 'logical' });
my $subscriber = presence_node('subscriber', init => { allows_streaming => 'logical' }, conf => "presence.timeout = '1 s'");

$publisher->safe_psql('postgres', "SELECT presence.join_room('p' || i, 'shared', ttl => '1 h') FROM generate_series(1, 50) AS i");
$publisher->safe_psql('postgres', "SELECT presence.leave_room('p' || i, 'shared') FROM generate_series(41, 50) AS i");
$publisher->safe_psql('postgres', 'CREATE PUBLICATION everything FOR ALL TABLES');
my $connstr = $publisher->connstr . ' dbname=postgres';
my ($ret, $out, $error) = $subscriber->psql('postgres', "CREATE SUBSCRIPTION mirror CONNECTION '$connstr' PUBLICATION everything");
unlike($error, qr/ERROR/, 'a subscription to all tables');
$subscriber->wait_for_subscription_sync($publisher, 'mirror');
is($subscriber->safe_psql('postgres', "SELECT count(*), count(left_at) FROM presence.room_presence"), '50|10', 'history and who is there have come');

my $there = session($publisher, 'postgres');
my $here = session($subscriber, 'postgres');
my $listener = listener($subscriber, 'postgres');

# The subscriber's identity has given no number yet; its joins do not collide with the rows.
my @failed = grep { $_ ne '' } map { $here->refused("SELECT presence.join_room('s$_', 'shared', ttl => '1 h')") } 1 .. 60;
is_deeply(\@failed, [], 'joins on the subscriber, one by one');
is($here->refused("SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 't' || i FROM generate_series(1, 60) AS i), array_fill('shared'::text, '{60}'), NULL, NULL, '6 s')"),
	'', 'and many at once');
like($listener->news(120), qr/^member_added s1, /, 'with events');
is($here->query("SELECT count(*) FROM presence.room_members('shared') WHERE connections = 1"), '120', 'all are members');

# Its worker ends its own, and nobody of the publisher's.
wait_until('those of a short lease to go', sub { $here->query("SELECT count(*) FROM presence.room_presence WHERE user_id LIKE 't%' AND left_at IS NOT NULL") eq '60' });
my $worker = wait_for_worker($subscriber, 'postgres');
$here->query("SELECT pg_terminate_backend($worker)");
$worker = wait_for_worker($subscriber, 'postgres', $worker);
$here->query("SELECT presence.join_room('after', 'shared', ttl => '3 s')");
wait_until('him to go', sub { $here->query("SELECT count(*) FROM presence.room_presence WHERE user_id = 'after' AND left_at IS NOT NULL") eq '1' });
$here->query('SELECT presence.sweep()');
is($here->query("SELECT count(*) FROM presence.room_presence WHERE user_id LIKE 'p%' AND left_at IS NULL"), '40', 'it ends nobody of the publisher\'s');

# ... who come and go by replication. (A number that both have given in one room would conflict:
# the docs say how to keep sequences apart.)
$there->query("SELECT presence.leave_room('p1', 'shared'), presence.join_room('p99', 'elsewhere', ttl => '1 h')");
$publisher->wait_for_catchup('mirror');
is($here->query("SELECT count(*) FROM presence.room_presence WHERE user_id IN ('p1', 'p99') AND left_at IS NULL"), '1', 'changes go on coming');

# Also after a restart, when it looks for whom it must adopt: rows that came by replication look
# like its own, so it adopts none.
$_->quit for $here, $listener;
$subscriber->restart;
$here = session($subscriber, 'postgres');
wait_for_worker($subscriber, 'postgres');
is($here->query("SELECT added FROM presence.join_room('s1', 'shared', ttl => '1 s')"), 'f', 'after a restart, who is joined again has not left');
wait_until('him to go', sub { $here->query("SELECT count(*) FROM presence.room_presence WHERE user_id = 's1' AND left_at IS NULL") eq '0' });
$here->query('SELECT presence.sweep()');
is($here->query("SELECT count(*) FROM presence.room_presence WHERE user_id LIKE 'p%' AND left_at IS NULL"), '40', 'the publisher\'s stay');
$there->query("SELECT presence.leave_room('p2', 'shared')");
$publisher->wait_for_catchup('mirror');
is($here->query("SELECT left_at IS NOT NULL FROM presence.room_presence WHERE user_id = 'p2'"), 't', 'and changes come');
unlike(slurp_file($subscriber->logfile), qr/duplicate key|conflict detected/, 'nothing conflicts');

# Rows copied by hand: the sequence of the copy is at its start.
$subscriber->safe_psql('postgres', 'CREATE DATABASE copied');
$subscriber->safe_psql('copied', 'CREATE EXTENSION presence');
my $file = $publisher->basedir . '/rows';
$publisher->safe_psql('postgres', "\\copy presence.room_presence TO '$file'");
$subscriber->safe_psql('copied', "\\copy presence.room_presence FROM '$file'");
my $copied = session($subscriber, 'copied');
@failed = grep { $_ ne '' } map { $copied->refused("SELECT presence.join_room('s$_', 'shared', ttl => '1 h')") } 1 .. 60;
is_deeply(\@failed, [], 'joins in a copy, one by one');
is($copied->refused("SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 't' || i FROM generate_series(1, 60) AS i), array_fill('shared'::text, '{60}'), NULL, NULL, '1 h')"),
	'', 'and many at once');
is($copied->query('SELECT count(*) = count(DISTINCT id) FROM presence.room_presence'), 't', 'no number is given twice');

# ... or just before the number that is taken: drawing it has passed it. One by one, many at once
for my $many (0, 1)
{
	$copied->query(q{INSERT INTO presence.room_presence (id, user_id, book_id) OVERRIDING SYSTEM VALUE
		SELECT s.last_value + 1, 'taken-' || s.last_value, 'next' FROM presence.room_presence_id_seq AS s});
	is($copied->refused($many ? "SELECT count(*) FROM presence.join_rooms('{a,b}', '{next,next}', NULL, NULL)" : "SELECT presence.join_room('first', 'next')"),
		'', 'a join that draws the last number taken');
}
is($copied->query("SELECT count(*) FROM presence.room_members('next')"), '5', 'all are members');

$_->quit for $there, $here, $copied;
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION mirror');

# What the docs say to do before the first join on a subscriber: a range of numbers of its own. Then
# both sides join the same room for as long as they like.
my $operations = slurp_file($INC{'PresenceTest.pm'} =~ s{test/perl/[^/]*\z}{docs/operations.md}r);
my ($publication) = $operations =~ /^(CREATE PUBLICATION stays .*;)$/m;
my ($range) = $operations =~ /^ *(SELECT setval\('presence\.room_presence_id_seq'.*;)$/m;
$_->safe_psql('postgres', 'CREATE DATABASE apart') for $publisher, $subscriber;
$_->safe_psql('apart', 'CREATE EXTENSION presence') for $publisher, $subscriber;
$publisher->safe_psql('apart', "SELECT presence.join_room('p' || i, 'shared', ttl => '1 h') FROM generate_series(1, 20) AS i; $publication");
$subscriber->safe_psql('apart', $range);
$subscriber->safe_psql('apart', "CREATE SUBSCRIPTION apart CONNECTION '" . $publisher->connstr . " dbname=apart' PUBLICATION stays");
$subscriber->wait_for_subscription_sync($publisher, 'apart', 'apart');
my $offset = -s $subscriber->logfile;
$there = session($publisher, 'apart');
$here = session($subscriber, 'apart');
for my $round (1 .. 3)
{
	for ([ 's', $here ], [ 'p', $there ])
	{
		my ($side, $session) = @$_;
		is($session->refused("SELECT presence.join_room('$side$round-' || i, 'shared', ttl => '1 h') FROM generate_series(1, 60) AS i"), '', "apart $round: joins of $side");
		is($session->refused("SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT '$side$round-many-' || i FROM generate_series(1, 60) AS i), array_fill('shared'::text, '{60}'), NULL, NULL, '1 h')"),
			'', "apart $round: and many at once");
	}
	$publisher->wait_for_catchup('apart');
	is($here->query("SELECT count(*), count(*) FILTER (WHERE user_id LIKE 's%') FROM presence.room_presence"), 20 + 240 * $round . '|' . 120 * $round, "apart $round: all are there");
}
is($here->query("SELECT bool_and(id > 1::bigint << 48) FROM presence.room_presence WHERE user_id LIKE 's%'"), 't', 'by numbers that the publisher does not give');
unlike(slurp_file($subscriber->logfile, $offset), qr/duplicate key|conflict detected/, 'and nothing conflicts');

# It takes the publisher's place: members have a lease to be joined again.
$here->query('DROP SUBSCRIPTION apart');
is($here->{error} =~ /ERROR/ ? $here->{error} : '', '', 'the subscription ends');
$here->query('SELECT presence.sweep()');
is($here->query("SELECT added FROM presence.join_room('p1', 'shared', ttl => '1 h')"), 'f', 'who is joined again has not left');
wait_until('the others to go', sub { $here->query("SELECT count(*) FROM presence.room_presence WHERE user_id LIKE 'p%' AND left_at IS NULL") eq '1' });
$_->quit for $there, $here;
$_->stop for $subscriber, $publisher;
nothing_crashed($subscriber);
done_testing();
