# A synchronous standby that is away, while the app does not wait for it: the worker does not
# either. Events, leases and purges go on.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('standby_away', init => { allows_streaming => 1 });
$node->safe_psql('postgres', q{
	INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at, left_at, leave_reason)
	SELECT 'old', 'old', now() - interval '3 h', now() - interval '3 h', now() - interval '2 h', 'left' FROM generate_series(1, 1000);
});
# what the app says in its sessions; the server's setting is the worker's too
$ENV{PGOPTIONS} = '-c synchronous_commit=local';
for my $level ('on', 'remote_write', 'remote_apply')
{
	# the worker begins while the standby is away
	$node->append_conf('postgresql.conf', "synchronous_standby_names = 'absent'\nsynchronous_commit = $level");
	$node->restart;
	my $app = session($node, 'postgres');
	my $listener = listener($node, 'postgres');

	$app->query("SELECT presence.join_room('ann', '$level', ttl => '1 h')");
	my $worker = wait_for_worker($node, 'postgres');
	is($listener->news(1), 'member_added ann', "$level: an event");
	$app->query("SELECT presence.join_room('ben', '$level', ttl => '1 s')");
	is($listener->news(2), 'member_added ben, member_removed ben timeout', "$level: a lease that ends");
	$app->query("SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'u' || i FROM generate_series(1, 2500) AS i),
		array_fill('$level'::text, '{2500}'), NULL, NULL, '1 s')");
	wait_for_closed($node, 'postgres', $level, 2501);
	is(scalar(split /, /, $listener->news(5000)), 5000, "$level: 2,500 that end together");
	is($app->query("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type LIKE 'presence%'"),
		'0', "$level: the worker waits for nobody");
	same_worker($node, 'postgres', $worker);
	$_->quit for $app, $listener;
}

$node->append_conf('postgresql.conf', "presence.history_retention = '1 h'");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM presence.room_presence WHERE book_id = 'old'"),
	'history is deleted');
$node->stop;
nothing_crashed($node);
done_testing();
