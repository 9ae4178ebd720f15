# PREPARE TRANSACTION: what makes an event is refused, what makes none is not, with and without
# preload. DROP EXTENSION is prepared, as Citus does it, when nobody is in a room.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

for my $plain (0, 1)
{
	my $how = $plain ? 'not preloaded' : 'preloaded';
	my $node = presence_node("prepare_$plain", plain => $plain, conf => 'max_prepared_transactions = 5');
	my $app = session($node, 'postgres');
	my $listener = listener($node, 'postgres');

	# The SQLSTATE of a transaction that is prepared; it is committed, or rolled back.
	my $prepared = sub {
		my ($sql, $end) = @_;
		my $state = sqlstate($node, 'postgres', "BEGIN; $sql; PREPARE TRANSACTION 'p'");
		$node->safe_psql('postgres', ($end // 'COMMIT') . " PREPARED 'p'") if $state eq '00000';
		return $state;
	};

	$app->query(q{
		SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Ann"}', ttl => '1 h');
		SELECT presence.join_room('ben', 'b', ttl => '1 h');
	});
	is($listener->news(2), 'member_added ann, member_added ben', "$how: two members");

	# events
	for my $sql (
		"presence.join_room('cy', 'b')", "presence.leave_room('ann', 'b')",
		"presence.join_room('ann', 'b', 'tab-1', '{\"name\": \"Anna\"}')",
		"count(*) FROM presence.join_rooms('{cy}', '{b}', NULL, NULL)",
		"presence.forget_user('ann')", "presence.forget_book('b')",
		"presence.drop_connections(ARRAY[(presence.join_room('ben', 'b')).connection])")
	{
		is($prepared->("SELECT $sql"), '0A000', "$how: refused: $sql");
	}
	# also when a savepoint hides it, and not when one takes it back
	is($prepared->("SAVEPOINT s; SELECT presence.join_room('cy', 'b'); RELEASE s"), '0A000', "$how: refused in a savepoint");
	is($prepared->("SAVEPOINT s; SELECT presence.join_room('cy', 'b'); ROLLBACK TO s"), '00000', "$how: not when it is undone");
	is($app->query("SELECT string_agg(user_id || ' ' || connections, ', ') FROM presence.room_members('b')"), 'ann 1, ben 1', "$how: nothing has changed");

	# no events
	for my $sql (
		"presence.touch_room('ann', 'b', 'tab-1')", "presence.member_count('b')",
		"count(*) FROM presence.room_members('b')", "presence.sweep()", "presence.leave_room('nobody', 'b')",
		"presence.purge_history('1 h')", "(presence.poll_room('ann', 'b', 'tab-1')).joined")
	{
		is($prepared->("SELECT $sql"), '00000', "$how: allowed: $sql");
	}
	is($prepared->("SELECT presence.touch(ARRAY[(SELECT presence.touch_room('ben', 'b'))::int::bigint])"), '00000', "$how: allowed: touch");

	# a tab more or less of somebody who stays
	my $connections = sub { $app->query("SELECT connections FROM presence.room_members('b') WHERE user_id = 'ann'") };
	is($prepared->("SELECT presence.join_room('ann', 'b', 'tab-2', ttl => '1 h')", 'ROLLBACK'), '00000', "$how: a second tab");
	is($connections->(), '1', "$how: rolled back, is none");
	is($prepared->("SELECT presence.join_room('ann', 'b', 'tab-2', ttl => '1 h')"), '00000', "$how: a second tab");
	is($connections->(), '2', "$how: committed, is one");
	is($prepared->("SELECT presence.leave_room('ann', 'b', 'tab-1')", 'ROLLBACK'), '00000', "$how: a tab less");
	is($connections->(), '2', "$how: rolled back, is none");
	is($prepared->("SELECT presence.leave_room('ann', 'b', 'tab-1')"), '00000', "$how: a tab less");
	is($connections->(), '1', "$how: committed, is one");
	is($app->query("SELECT presence.touch_room('ann', 'b', 'tab-1'), presence.touch_room('ann', 'b', 'tab-2')"), 'f|t', "$how: the one that stays is heard");

	# while it is prepared, nobody is hurt: not the member, nor who joins others
	$app->query("BEGIN; SELECT presence.join_room('ann', 'b', 'tab-3', ttl => '1 h'); PREPARE TRANSACTION 'open'");
	is($app->query("SELECT added FROM presence.join_room('dee', 'b', ttl => '1 s')"), 't', "$how: others join meanwhile");
	$app->query('SELECT pg_sleep(1.2); SELECT presence.sweep()');
	is($app->query("SELECT presence.member_count('b')"), '2', "$how: and go");
	$app->query("COMMIT PREPARED 'open'");
	is($connections->(), '2', "$how: then it counts");
	like($listener->news(2), qr/^member_added dee, member_removed dee timeout$/, "$how: none of it was an event");

	# the extension itself
	$app->query("SELECT presence.forget_book('b')");
	is($listener->news(2), 'member_removed ann removed, member_removed ben removed', "$how: all gone");
	is($prepared->('DROP EXTENSION presence', 'ROLLBACK'), '00000', "$how: DROP EXTENSION is prepared, and rolled back");
	is($app->query("SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')"), 't', "$how: it is still there");
	$app->query("SELECT presence.forget_book('b')");
	is($prepared->('DROP EXTENSION presence'), '00000', "$how: and prepared, and committed");
	is($prepared->('CREATE EXTENSION presence'), '00000', "$how: CREATE EXTENSION too");
	is($app->query("SELECT added FROM presence.join_room('ann', 'b', ttl => '1 s')"), 't', "$how: which works");
	$app->query('SELECT pg_sleep(1.1); SELECT presence.sweep()') if $plain;
	wait_for_closed($node, 'postgres', 'b', 1);

	# A restart comes between: what was prepared is committed, and hurts nobody.
	$app->query("SELECT presence.join_room('ann', 'c', 'tab-1', ttl => '1 h')");
	is(sqlstate($node, 'postgres', "BEGIN; SELECT presence.join_room('ann', 'c', 'tab-2', ttl => '1 h'); PREPARE TRANSACTION 'over'"),
		'00000', "$how: a tab is prepared before a restart");
	$_->quit for $app, $listener;
	$node->restart;
	$app = session($node, 'postgres');
	is($app->query("SELECT presence.member_count('c'); COMMIT PREPARED 'over'; SELECT presence.member_count('c')"), "1\n1",
		"$how: and committed after it");
	is($app->query("SELECT added FROM presence.join_room('ann', 'c', 'tab-3', ttl => '1 h')"), 'f', "$how: he is joined again");
	is($app->query("SELECT presence.leave_room('ann', 'c')"), 't', "$how: and leaves");
	$app->quit;
	$node->stop;
	nothing_crashed($node);
}
done_testing();
