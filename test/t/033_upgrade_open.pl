# From 0.1 and 0.2 in place, while members are there: the new library on the old tables, the
# restart that brings it, the update of the extension; with and without preload. (009 compares
# what results with a new installation.)
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

# What an old server has left in the tables: ann with two tabs, ben with one, cy who has left,
# dee without a tab, eve whose socket was closed and who lingers
my $left_behind = q{
	INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at, left_at, leave_reason, is_author, user_info) VALUES
		('ann', 'b', now() - interval '1 h', now() - interval '1 min', NULL, NULL, true, '{"name": "Ann"}'),
		('ben', 'b', now() - interval '2 h', now() - interval '2 h', NULL, NULL, false, NULL),
		('cy', 'b', now() - interval '3 h', now() - interval '3 h', now() - interval '2 h', 'left', false, NULL),
		('dee', 'b', now() - interval '1 h', now() - interval '1 min', NULL, NULL, false, NULL),
		('eve', 'b', now() - interval '1 h', now() - interval '1 min', NULL, NULL, false, NULL);
	INSERT INTO presence.connection (book_id, user_id, connection_id, presence_id, ttl, last_active_at, expires_at, stand_in)
		SELECT p.book_id, p.user_id, c.connection_id, p.id, '1 h', now(), now() + interval '1 h', c.stand_in
		FROM presence.room_presence AS p
			JOIN (VALUES ('ann', 'tab-1', NULL), ('ann', 'tab-2', NULL), ('ben', '', NULL), ('eve', 'socket', 'left')) AS c (user_id, connection_id, stand_in)
				ON c.user_id = p.user_id
		WHERE p.left_at IS NULL;
	INSERT INTO presence.pusher_app (app_id, key, secret) VALUES ('1', 'a-key', 'a-secret');
};

for my $plain (0, 1)
{
	my $node = presence_node("upgrade_open_$plain", plain => $plain, conf => "presence.timeout = '8 s'");
	my @versions = split /\n/, $node->safe_psql('postgres',
		"SELECT version FROM pg_available_extension_versions AS v WHERE name = 'presence' AND version <> (SELECT extversion FROM pg_extension WHERE extname = 'presence') ORDER BY 1");

	cmp_ok(scalar(@versions), '>=', 1, 'there are old versions');
	for my $version (@versions)
	{
		my $dbname = 'from_' . $version =~ tr/./_/r;
		my $how = ($plain ? 'not preloaded' : 'preloaded') . ", $version";

		$node->safe_psql('postgres', "CREATE DATABASE $dbname");
		$node->safe_psql($dbname, "CREATE EXTENSION presence VERSION '$version'; $left_behind");
		$node->restart;

		# a session of before the update, one that listens, one that has a transaction open
		my $app = session($node, $dbname);
		my $listener = listener($node, $dbname);
		my $open = session($node, $dbname);
		is($app->query("SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM presence.room_members('b') WHERE user_id <> 'eve'"), 'ann ben dee',
			"$how: before the update, who was there is there");
		my $id = $app->query("SELECT id FROM presence.room_presence WHERE user_id = 'ann'");
		$open->query('BEGIN; SELECT 1');
		$app->query('ALTER EXTENSION presence UPDATE');
		is($app->{error}, '', "$how: the update");
		$open->query('COMMIT');

		# ann's tabs come again, ben's and dee's do not; nobody has become a member by it
		is($app->query("SELECT added, id FROM presence.join_room('ann', 'b', 'tab-1', ttl => '1 h')"), "f|$id", "$how: ann is joined again");
		is($app->query("SELECT added, is_author, user_info FROM presence.join_room('ann', 'b', 'tab-2', ttl => '1 h')"), 'f|t|{"name": "Ann"}', "$how: with her other tab");
		is($open->query("SELECT added FROM presence.join_room('new', 'b', ttl => '1 h')"), 't', "$how: a new member, in a session of before");
		wait_until('the others to go', sub {
			$app->query('SELECT presence.sweep()') if $plain;
			return $app->query("SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM presence.room_members('b')") eq 'ann new';
		}) unless $plain; # without preload the tabs in the table go on
		if ($plain)
		{
			is($app->query("SELECT presence.touch_room('ben', 'b'), (SELECT connections FROM presence.room_members('b') WHERE user_id = 'ann')"), 't|2', "$how: tabs in the table are known");
			wait_until('those without a tab to go', sub {
				$app->query('SELECT presence.sweep()');
				return $app->query("SELECT count(*) FROM presence.room_presence WHERE user_id = 'dee' AND left_at IS NOT NULL") eq '1';
			});
			$app->query("SELECT presence.leave_room('ben', 'b'), presence.leave_room('eve', 'b')");
		}
		is($app->query("SELECT user_id, connections FROM presence.room_members('b')"), "ann|2\nnew|1", "$how: who did not come again has left");
		wait_until('their stays to end', sub { $app->query('SELECT count(*) FILTER (WHERE left_at IS NULL) FROM presence.room_presence') eq '2' });
		is($app->query('SELECT count(*) FROM presence.room_presence'), '6', "$how: nothing is lost, nobody twice");
		is($app->query('SELECT count(*) FROM presence.connection'), $plain ? '3' : '0', "$how: connections are in one place");
		is($app->query("SELECT presence.pusher_auth_signature('1.2', 'private-x') LIKE 'a-key:%'"), 't', "$how: the app's secret signs");
		my @events = map { "$_->{event} $_->{user_id}" } $listener->events;
		is(join(', ', sort @events), 'member_added new, member_removed ben, member_removed dee, member_removed eve', "$how: the events");

		# the whole life, in a session of before and in a new one
		for my $one ($open, session($node, $dbname))
		{
			is($one->query(q{
				SELECT added FROM presence.join_room('z', 'life', ttl => '1 h');
				SELECT count(*) FROM presence.join_rooms('{y,x}', '{life,life}', NULL, NULL, '1 h');
				SELECT presence.touch_room('z', 'life'), presence.member_count('life');
				SELECT user_id FROM presence.members_at('life', now() - interval '1 day');
				SELECT count(*) FROM presence.online WHERE book_id = 'life';
				SELECT presence.leave_room('z', 'life'), presence.forget_book('life');
			}), "t\n2\nt|3\n3\nt|3", "$how: life goes on");
			$one->quit;
		}
		is($node->safe_psql($dbname, "SELECT added FROM presence.join_room('short', 'short', ttl => '1 s')"), 't', "$how: a short lease");
		if ($plain) { wait_until('a sweep', sub { $app->query('SELECT presence.sweep()') eq '1' }) }
		wait_for_closed($node, $dbname, 'short', 1);
		$_->quit for $app, $listener;
		is($node->safe_psql($dbname, 'DROP EXTENSION presence; SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(\'presence\')'), '0', "$how: and can be dropped");
	}
	$node->stop;
	nothing_crashed($node);
}
done_testing();
