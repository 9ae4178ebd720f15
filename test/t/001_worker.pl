# The worker of a database: comes with first use, ends what expires within a
# second, takes up new settings, comes back when it was ended.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use PresenceTest;

my $node = presence_node('worker', bare => 1, conf => "track_commit_timestamp = on\nlog_min_messages = debug1");

# How long after its lease a presence was closed, at most and at least, in ms.
sub lateness
{
	my ($room) = @_;
	my $row = $node->safe_psql('app',
		"SELECT ceil(extract(epoch FROM max(late)) * 1000), floor(extract(epoch FROM min(late)) * 1000)
		 FROM (SELECT pg_xact_commit_timestamp(xmin) - left_at AS late
			FROM presence.room_presence WHERE book_id = '$room' AND leave_reason = 'timeout') AS p");
	return split /\|/, $row;
}

sub all_gone
{
	my ($room) = @_;
	ok($node->poll_query_until('app',
			"SELECT count(*) = 0 FROM presence.room_presence WHERE book_id = '$room' AND left_at IS NULL"),
		"all are gone from $room");
}

# One test: those whom the code lets join a room were all closed within a second of their leases'
# end, and not before. A machine that is busy for a moment has three tries; no try may be early.
# Returns the room.
sub in_time
{
	my ($name, $join) = @_;
	my ($room, $latest, $earliest);

	for my $try (1 .. 3)
	{
		$room = "$name-$try" =~ tr/ ,/-/dr;
		$join->($room);
		all_gone($room);
		($latest, $earliest) = lateness($room);
		last if $latest <= 1000 || $earliest < 0;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($latest <= 1000 && $earliest >= 0, "$name: within $latest ms, not before $earliest ms");
	return $room;
}

# A database that the launcher has looked at in vain has no worker, until first use.
$node->safe_psql('postgres', 'CREATE DATABASE app');
my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'app'");
$node->restart;
$node->wait_for_log(qr/no extension presence in database $oid\b/);
wait_for_no_worker($node, 'app');
$node->safe_psql('app', 'CREATE EXTENSION presence');
is(worker_pid($node, 'app'), '', 'no worker before first use');
$node->safe_psql('app', "SELECT presence.join_room('ann', 'first', ttl => '1 h')");
my $worker = wait_for_worker($node, 'app');
$node->wait_for_log(qr/presence worker started for database "app"/);
pass('a worker with first use');
ok($node->poll_query_until('app',
		"SELECT worker_state = 'running' AND worker_pid = $worker AND last_sweep IS NOT NULL FROM presence.stats"),
	'presence.stats shows it');

# Leases of many lengths, and one that is longer than they all: the worker
# sleeps until that one's end when the first of them comes.
my $many = in_time('thirty leases', sub {
	$node->safe_psql('app',
		"SELECT count(presence.join_room('user-' || i, '$_[0]', ttl => interval '1 s' + i * interval '70 ms'))
		 FROM generate_series(0, 29) AS i");
});
is( $node->safe_psql('app',
		"SELECT bool_and(left_at = joined_at + interval '1 s' + substr(user_id, 6)::int * interval '70 ms')
		 FROM presence.room_presence WHERE book_id = '$many'"),
	't', 'each ended at the end of its lease');
is($node->safe_psql('app', "SELECT presence.member_count('first')"), '1', 'the long lease goes on');

# Once more when it has nothing at all to wait for.
$node->safe_psql('app', "SELECT presence.leave_room('ann', 'first')");
in_time('one lease', sub { $node->safe_psql('app', "SELECT presence.join_room('ann', '$_[0]', ttl => '1 s')") });

# A lease that comes with others in one transaction, in a savepoint, in one that is undone.
in_time('a lease from a savepoint', sub {
	my ($room) = @_;
	$node->safe_psql('app', qq{
		BEGIN;
		SELECT presence.join_room('ann', '$room', ttl => '1 h');
		SAVEPOINT a;
		SAVEPOINT b;
		SELECT presence.join_room('ann', '$room', 'tab-2', ttl => '1 s');
		SELECT presence.leave_room('ann', '$room', '');
		RELEASE b;
		RELEASE a;
		SAVEPOINT c;
		SELECT presence.leave_room('ann', '$room');
		ROLLBACK TO c;
		COMMIT;
	});
});

# Heartbeats keep a member; without them he goes.
my $session = session($node, 'app');
my $handle = $session->query("SELECT connection FROM presence.join_room('ann', 'beats', 'a', ttl => '3 s')");
$session->query("SELECT FROM presence.join_room('ben', 'beats', 'a', ttl => '3 s')");
$session->query("SELECT FROM presence.join_room('cy', 'beats', 'a', ttl => '3 s')");
my $beats = 0;
my $unknown = '';
while ($beats++ < 16)
{
	usleep(250_000);
	$unknown .= $session->query("SELECT presence.touch(ARRAY[$handle])");
	$unknown .= $session->query("SELECT presence.touch_room('ben', 'beats', 'a')");
}
is($unknown, '{}t' x 16, 'heartbeats are heard for longer than the lease');
is($session->query("SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM presence.room_members('beats')"),
	'ann ben', 'they keep the members they are of');
all_gone('beats');
my ($latest, $earliest) = lateness('beats');
ok($latest <= 3000 && $earliest >= 0, "after the last heartbeat: within $latest ms, not before $earliest ms");
is($session->query("SELECT count(*) FROM presence.room_presence WHERE book_id = 'beats' AND left_at = last_active_at + interval '3 s'"),
	'3', 'they end a lease after it');

# presence.linger: the worker ends who did not come back
$session->query("SET presence.linger = '2 s'");
$session->query("SELECT presence.drop_connections(ARRAY[(SELECT connection FROM presence.join_room('ann', 'linger', ttl => '1 h'))])");
is($session->query("SELECT presence.member_count('linger')"), '1', 'a closed socket lingers');
ok($node->poll_query_until('app', "SELECT leave_reason = 'left' FROM presence.room_presence WHERE book_id = 'linger'"),
	'and then has left');
is($session->query("SELECT pg_xact_commit_timestamp(xmin) - left_at BETWEEN '0' AND '3 s' FROM presence.room_presence WHERE book_id = 'linger'"),
	't', 'in time');
$session->query('RESET presence.linger');

# More than one batch
in_time('2,500 leases that end together', sub {
	$node->safe_psql('app',
		"SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'user-' || i FROM generate_series(1, 2500) AS i),
			array_fill('$_[0]'::text, ARRAY[2500]), NULL, NULL, '1 s')");
});

# Settings: history_retention by reload
$node->safe_psql('app', q{
	INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at, left_at, leave_reason)
	SELECT 'old', 'retention', now() - interval '3 h', now() - interval '3 h', now() - interval '2 h', 'left'
	FROM generate_series(1, 1000);
	INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at, left_at, leave_reason)
	VALUES ('new', 'retention', now() - interval '3 h', now() - interval '3 h', now() - interval '30 min', 'left');
	INSERT INTO presence.room_presence (user_id, book_id, joined_at) VALUES ('here', 'retention', now() - interval '3 h');
});
$node->append_conf('postgresql.conf', "presence.history_retention = '1 h'");
$node->reload;
ok($node->poll_query_until('app', "SELECT count(*) = 0 FROM presence.room_presence WHERE user_id = 'old'"),
	'history_retention takes effect with a reload');
is($node->safe_psql('app', "SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM presence.room_presence WHERE book_id = 'retention'"),
	'here new', 'younger history and who is here stay');
is(worker_pid($node, 'app'), $worker, 'one worker has done it all');
$node->append_conf('postgresql.conf', "presence.history_retention = 0");
$node->reload;

# A new one comes for one that is terminated, and does what the old one left.
$node->safe_psql('app', "SELECT presence.join_room('ann', 'orphan', ttl => '1 s')");
$node->safe_psql('app', "SELECT pg_terminate_backend($worker)");
my $next = wait_for_worker($node, 'app', $worker);
isnt($next, $worker, 'a terminated worker is followed by another');
all_gone('orphan');
is($node->safe_psql('app', "SELECT presence.member_count('retention')"), '1',
	'who was there without a connection has a lease');

# The settings of the database and of roles are not for the worker.
$node->safe_psql('app', q{
	ALTER DATABASE app SET default_transaction_read_only = on;
	ALTER DATABASE app SET default_transaction_isolation = 'serializable';
	ALTER DATABASE app SET statement_timeout = '1 ms';
	ALTER DATABASE app SET search_path = 'nowhere';
	ALTER DATABASE app SET TimeZone = 'Asia/Tokyo';
});
$node->safe_psql('template1', "SELECT pg_terminate_backend($next)");
$worker = wait_for_worker($node, 'app', $next);
$session->query("SELECT FROM presence.join_room('ann', 'settings', ttl => '1 s')");
ok($node->poll_query_until('app',
		'SET statement_timeout = 0; ' .
		"SELECT count(*) = 0 FROM presence.room_presence WHERE book_id = 'settings' AND left_at IS NULL",
		"SET\nt"),
	'settings of the database do not stop it');
is(worker_pid($node, 'app'), $worker, 'nor end it');
$session->quit;

# Nothing to do is nothing written.
$node->safe_psql('template1', 'ALTER DATABASE app RESET ALL');
$node->safe_psql('app', 'SELECT presence.forget_book(b) FROM (SELECT DISTINCT book_id FROM presence.room_presence) AS p(b)');
$node->stop('fast');
nothing_crashed($node);

done_testing();
