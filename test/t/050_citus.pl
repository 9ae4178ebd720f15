# Rooms spread over the nodes of a cluster of Citus: calls go to the node of their room, those that
# Citus does not send there are refused, rooms move to another node and take their members along.
# Skipped where Citus is not installed for the PostgreSQL at hand.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

chomp(my $libraries = `pg_config --pkglibdir`);
unless (-e "$libraries/citus.so")
{
	SKIP: { skip 'NOTHING OF A CLUSTER IS TESTED: Citus is not installed for this PostgreSQL', 1; }
	done_testing();
	exit 0;
}

my $conf = q{
shared_preload_libraries = 'citus,presence'
wal_level = logical
max_prepared_transactions = 20
max_worker_processes = 30
max_connections = 60
citus.node_conninfo = 'sslmode=prefer'
citus.shard_count = 8
citus.enable_statistics_collection = off
};

sub citus_node
{
	my ($name) = @_;
	my $node = presence_node($name, plain => 1, bare => 1, conf => $conf);

	# Citus would come by localhost, where nobody listens
	$node->safe_psql('postgres', sprintf q{ALTER SYSTEM SET citus.local_hostname = '%s'}, $node->host);
	$node->reload;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus');
	return $node;
}

my $coordinator = citus_node('coordinator');
my @workers = map { citus_node("worker$_") } 1 .. 2;

sub sql { return $coordinator->safe_psql('postgres', $_[0]) }
sub on { return $_[0]->safe_psql('postgres', $_[1]) }

# The error of a statement, with its DETAIL and HINT.
sub complaint
{
	my ($node, $sql) = @_;
	my $error = '';

	$node->psql('postgres', $sql, stderr => \$error);
	return $error;
}

#
# Before there is a cluster, or where it is not to be done
#
sql('CREATE EXTENSION presence');
is(sql("SELECT presence.is_sharded(), presence.room_node('b') IS NULL"), 'f|t', 'not sharded');
is(sql("SELECT nodename IS NULL, result FROM presence.on_all_nodes('SELECT 1 AS one')"), 't|{"one": 1}',
	'on_all_nodes on one server');
is(sqlstate($coordinator, 'postgres', 'SELECT presence.shard_with_citus()'), '55000', 'no node is known');
like(complaint($coordinator, 'SELECT presence.shard_with_citus()'), qr/citus_set_coordinator_host/, 'and a hint');
sql("CREATE ROLE web LOGIN; SELECT presence.grant_app('web'); SELECT presence.join_room('early', 'room-1', ttl => '1 h')");
sql(sprintf q{SELECT citus_set_coordinator_host('%s', %d)}, $coordinator->host, $coordinator->port);
sql(sprintf q{SELECT citus_add_node('%s', %d)}, $_->host, $_->port) for @workers;

#
# Sharded
#
sql('SELECT presence.shard_with_citus()');
is(sql('SELECT presence.is_sharded()'), 't', 'sharded');
is(on($_, 'SELECT presence.is_sharded()'), 't', 'its workers know it') for @workers;
sql('SELECT presence.shard_with_citus()');
pass('twice does no harm');
like(complaint($workers[0], 'SELECT presence.shard_with_citus()'), qr/HINT:  Call it on the coordinator/, 'not on a worker');

# Rooms by node: two of each worker's.
my %node_at = map { $_->port => $_ } $coordinator, @workers;
my %rooms;
for my $row (split /\n/, sql("SELECT 'room-' || i || '|' || (presence.room_node('room-' || i)).nodeport FROM generate_series(1, 40) AS i"))
{
	my ($room, $port) = split /\|/, $row;
	push @{ $rooms{$port} }, $room;
}
my ($mine, $theirs) = map { $rooms{ $_->port }[0] } @workers;
ok($mine && $theirs, "a room of each worker: $mine, $theirs");
is(join(',', sort keys %rooms), join(',', sort map { $_->port } @workers), 'and all are on one of them');
is(on($_, "SELECT count(*), count(DISTINCT s.nodeport), bool_and((s.nodename, s.nodeport) = presence.room_node(b)),
		bool_and(s.is_local = (s.nodeport = ${\ $_->port }))
	FROM (SELECT 'room-' || i AS b FROM generate_series(1, 40) AS i) AS room
	JOIN presence.shards() AS s ON hashtext(b) BETWEEN s.first_hash AND s.last_hash"), '40|2|t|t',
	'shards() agrees with room_node on ' . $_->name)
  for $coordinator, @workers;

$coordinator->poll_query_until('postgres', 'SELECT count(*) = 0 FROM presence.room_presence WHERE left_at IS NULL');
is(sql("SELECT leave_reason FROM presence.room_presence WHERE user_id = 'early'"), 'timeout',
	'who was on the coordinator before is gone from there');

# By the app's role, to the node of the room
my $app = session($coordinator, 'postgres', user => 'web');
is($app->query("SELECT id >> 48, user_id, added FROM presence.join_room('ann', '$mine', 'tab')"), '1|ann|t', 'a join, numbered by its node');
is($app->query("SELECT id >> 48, user_id, added FROM presence.join_room('ann', '$theirs', 'tab')"), '2|ann|t', 'and on the other one');
is($app->query("SELECT user_id FROM presence.room_members('$mine')"), 'ann', 'the members');
is($app->query("SELECT presence.touch_room('ann', '$mine', 'tab')"), 't', 'a heartbeat');
is($app->query("SELECT joined, jsonb_array_length(members) FROM presence.poll_room('ann', '$mine', 'tab')"), 't|1', 'a poll');
is($app->query("SELECT presence.member_count('$theirs')"), '1', 'a count');
is($app->query("PREPARE j(text, text) AS SELECT added FROM presence.join_room(\$1, \$2);"
	. join ';', map { "EXECUTE j('user-$_', '$mine')" } 1 .. 8), join("\n", ('t') x 8), 'prepared, with a generic plan and before it');
is(on($workers[0], "SELECT count(*) FROM presence.room_presence"), '9', 'the rows are there');
is(sql("SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL"), '0', 'and none on the coordinator');
is(on($workers[1], "SELECT added FROM presence.join_room('ben', '$mine')"), 't', 'from another worker as well');
is($app->query("BEGIN; SELECT added FROM presence.join_room('cy', '$mine'); ROLLBACK; SELECT count(*) FROM presence.room_members('$mine')"),
	"t\n10", 'in a transaction that rolls back');

#
# What is not sent there is refused
#
my %refused = (
	'a row expanded' => "SELECT (presence.join_room('eve', '$mine')).id",
	'two in one SELECT' => "SELECT presence.touch_room('ann', '$mine', 'tab'), presence.touch_room('ann', '$theirs', 'tab')",
	'PERFORM' => "DO \$\$ BEGIN PERFORM presence.join_room('eve', '$mine'); END \$\$",
	'a CTE' => "WITH j AS (SELECT * FROM presence.join_room('eve', '$mine')) SELECT count(*) FROM j",
	'a room from a column' => "SELECT presence.leave_room('ann', b) FROM shelf",
	'a condition' => "SELECT * FROM presence.room_members('$mine') WHERE is_author",
	'members in a join' => "SELECT count(*) FROM presence.room_members('$mine') AS m JOIN (VALUES ('ann')) AS v(u) ON v.u = m.user_id",
	'member_count' => "SELECT presence.member_count('$mine') + 0",
	'poll_room' => "SELECT (presence.poll_room('ann', '$mine')).*",
	'poll_room_changes' => "SELECT (presence.poll_room_changes('ann', '$mine')).*",
	'history' => "SELECT presence.time_in_room('ann', '$mine') + '0'",
	'forget_book' => "SELECT presence.forget_book('$mine') + 0",
	'join_rooms' => "SELECT added FROM presence.join_rooms('{eve}', '{$mine}', NULL, NULL)",
);
sql("CREATE TABLE shelf (b text); INSERT INTO shelf VALUES ('$mine')");
is(sqlstate($coordinator, 'postgres', $refused{$_}), 'PR001', "refused: $_") for sort keys %refused;
like(complaint($coordinator, $refused{'a CTE'}),
	qr/room "$mine" is on another node\nDETAIL:  It is on .*:${\ $workers[0]->port }\.\nHINT:  Citus sends a call there/, 'and says why');
is(sqlstate($workers[1], 'postgres', $refused{join_rooms}), 'PR001', 'refused: join_rooms on another worker');
is(on($workers[0], "SELECT count(*) FROM presence.join_rooms('{fay,gus}', '{$mine,$mine}', NULL, NULL)"), '2', 'join_rooms on the node itself');
is(sql("SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL"), '0', 'nothing was written on the coordinator');
is($app->query("BEGIN; SELECT added FROM presence.join_room('hal', '$mine'); SAVEPOINT s"), 't', 'a session in a transaction');
is($app->refused("SELECT (presence.join_room('hal', '$theirs')).id"), "room \"$theirs\" is on another node", 'is refused as well');
$app->query('ROLLBACK');
$app->query("BEGIN; SELECT added FROM presence.join_room('hal', '$mine'); SELECT added FROM presence.join_room('hal', '$theirs')");
isnt($app->refused('COMMIT'), '', 'a transaction that changes rooms of two nodes is refused');
$app->query('ROLLBACK');
is(sql("SELECT count(*) FROM presence.on_all_nodes('SELECT * FROM presence.user_rooms(''hal'')')"), '0', 'and does nothing');
is(on($_, 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'and leaves nothing') for @workers;

# A signature needs nothing of the room if it is told all
sql("INSERT INTO presence.pusher_app VALUES ('1', 'key', 'secret')");
is(sqlstate($coordinator, 'postgres', "SELECT presence.pusher_authorize_channel('ann', '1.1', 'presence-room-$mine', '{}')"), 'PR001',
	'refused: pusher_authorize_channel, which would count the members');
like(sql("SET presence.pusher_max_members = 0; SELECT presence.pusher_authorize_channel('ann', '1.1', 'presence-room-$mine', '{}')"),
	qr/"auth"/, 'it signs where there is no limit');

# A trigger that would forget a user on one node only
is(sqlstate($coordinator, 'postgres', q{
	CREATE TABLE app_user (id text);
	CREATE TRIGGER forget AFTER DELETE ON app_user FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('user', 'id');
	INSERT INTO app_user VALUES ('ann');
	DELETE FROM app_user}), '0A000', 'refused: on_delete_forget for users');
sql('DROP TABLE app_user');

#
# The union
#
is($app->query("SELECT string_agg(result->>'book_id', ',' ORDER BY nodeport = ${\ $workers[1]->port }) FROM presence.on_all_nodes('SELECT * FROM presence.user_rooms(''ann'')')"),
	"$mine,$theirs", 'user_rooms of all nodes, as the app');
is(sql("SELECT sum((result->>'members')::int) FROM presence.on_all_nodes('SELECT * FROM presence.stats')"), '13', 'members of all nodes');
is(on($workers[1], "SELECT count(DISTINCT nodeport) FROM presence.on_all_nodes('SELECT 1')"), '3', 'from a worker');
is(sqlstate($coordinator, 'postgres', "SELECT * FROM presence.on_all_nodes('SELECT 1/0')"), '38000', 'an error of a node');
is(sqlstate($coordinator, 'postgres', 'SELECT * FROM presence.on_all_nodes(NULL)'), '22004', 'NULL');
is(sql("SELECT sum((result->>'forget_user')::int) FROM presence.on_all_nodes('SELECT presence.forget_user(''fay'')')"), '1', 'a user is forgotten');

#
# A move: the room's members go from the old node, and are joined again on the new one
#
my $listener = listener($workers[0], 'postgres');
my $open = session($workers[0], 'postgres');
is($open->query("SELECT presence.touch_room('ann', '$mine', 'tab')"), 't', 'a session that knows where rooms are');
my $handle = on($workers[0], "SELECT id FROM presence.connections WHERE user_id = 'ann'");
my $server = sub { my ($node) = @_; return sprintf "'%s', %d", $node->host, $node->port };
my $shard = sql("SELECT get_shard_id_for_distribution_column('presence.room_shard', '$mine')");
on($workers[0], "SELECT presence.touch(ARRAY[$handle])");
sql("SELECT citus_move_shard_placement($shard, ${\ $server->($workers[0]) }, ${\ $server->($workers[1]) }, 'block_writes')");
is(sql("SELECT nodeport FROM presence.room_node('$mine')"), $workers[1]->port, 'the room is on the other node');
is($open->refused("SELECT (presence.join_room('ann', '$mine')).id"), "room \"$mine\" is on another node", 'the old one refuses it, also to that session');
is($app->query("SELECT presence.touch_room('ann', '$mine', 'tab')"), 'f', 'its tabs are told to join again');
is($app->query("SELECT id >> 48, added FROM presence.join_room('ann', '$mine', 'tab')"), '2|t', 'and do so on the new node');
on($workers[0], 'SELECT presence.sweep()');
is(on($workers[0], "SELECT count(*) FROM presence.room_presence WHERE book_id = '$mine' AND left_at IS NULL"), '0', 'a sweep ends who was on the old one');
like($listener->news(1), qr/member_removed ann timeout/, 'which is told');
is(on($workers[0], "SELECT presence.touch(ARRAY[$handle])"), "{$handle}", 'its handles are unknown');
is($app->query("SELECT count(*) FROM presence.members_at('$mine', 'now')"), '1', 'its past there is not on the new one');
is(sql("SELECT count(*) FROM presence.on_all_nodes('SELECT * FROM presence.members_at(''$mine'', ''-infinity'') UNION ALL SELECT NULL, NULL, NULL, NULL, NULL')"),
	'3', 'each node tells its own of it');
is(sql("SELECT count(*) FROM presence.on_all_nodes('SELECT * FROM presence.room_presence WHERE book_id = ''$mine'' AND user_id = ''ann''')"), '2',
	'the union has both stays');
is(sql("SELECT sum((result->>'forget_book')::int) > 9 FROM presence.on_all_nodes('SELECT presence.forget_book(''$mine'')')"), 't', 'and a book is forgotten on all');

# Nobody sweeps: the worker ends them within a few seconds, whatever their lease
is($app->query("SELECT added FROM presence.join_room('ida', '$mine', 'tab', ttl => '1 h')"), 't', 'one with a long lease');
sql("SELECT citus_move_shard_placement($shard, ${\ $server->($workers[1]) }, ${\ $server->($workers[0]) }, 'block_writes')");
is($app->query("SELECT added FROM presence.join_room('ida', '$mine', 'tab')"), 't', 'is joined on the new node');
quick(15, 'the old one ends it', sub { wait_for_closed($workers[1], 'postgres', $mine, 1) });
is(sql("SELECT count(*) FROM presence.on_all_nodes('SELECT * FROM presence.online') WHERE result->>'user_id' = 'ida'"), '1', 'and open there alone');

#
# A node more
#
push @workers, citus_node('worker3');
sql("CREATE ROLE later LOGIN; SELECT presence.grant_app('later')");
sql("SELECT citus_add_node(${\ $server->($workers[2]) })");
sql('SELECT presence.shard_with_citus()');
$shard = sql("SELECT get_shard_id_for_distribution_column('presence.room_shard', '$theirs')");
sql("SELECT citus_move_shard_placement($shard, ${\ $server->($workers[1]) }, ${\ $server->($workers[2]) }, 'block_writes')");
my $later = session($coordinator, 'postgres', user => 'later');
is($later->query("SELECT id >> 48, added FROM presence.join_room('jo', '$theirs')"), '3|t', 'a room on a node that was added, by a role of later');

#
# The undo, once more, and the end
#
$_->quit for $app, $later, $listener, $open;
sql("CREATE TABLE comment (book_id text); SELECT create_distributed_table('comment', 'book_id', colocate_with => 'presence.room_shard')");
is(sqlstate($coordinator, 'postgres', 'SELECT presence.unshard_from_citus()'), '2BP01', 'refused: a table is beside the rooms');
sql("SELECT undistribute_table('comment')");
sql('SELECT presence.unshard_from_citus()');
is(sql("SELECT presence.is_sharded(), count(*) FROM presence.join_room('kim', '$mine')"), 'f|1', 'unsharded: a join where it is called');
is(sql("SELECT count(*) FROM presence.room_presence WHERE user_id = 'kim'"), '1', 'its row is there');
is(on($workers[0], "SELECT added FROM presence.join_room('kim', '$theirs')"), 't', 'and on a worker');
sql('SELECT presence.shard_with_citus()');
is(sql("SELECT added FROM presence.join_room('lea', '$mine')"), 't', 'sharded again');
sql('CALL citus_cleanup_orphaned_resources()'); # what moves left for later
# Before 17 Citus takes a table that goes with its extension for a partition, and leaves its shards.
sql('SELECT presence.unshard_from_citus()') if sql('SHOW server_version_num') < 170000;
sql('DROP EXTENSION presence');
is(on($_, "SELECT count(*) FROM pg_class WHERE relnamespace = 'presence'::regnamespace"), '0', 'dropped: nothing is left on ' . $_->name)
  for $coordinator, @workers;
is(on($_, 'SELECT count(*) FROM pg_dist_partition'), '0', 'nor in the catalogue of Citus on ' . $_->name) for $coordinator, @workers;
sql('CREATE EXTENSION presence');
sql('SELECT presence.shard_with_citus()');
is(sql("SELECT added FROM presence.join_room('max', '$mine')"), 't', 'made anew');

nothing_crashed($_) for $coordinator, @workers;
$_->stop('fast') for $coordinator, @workers;
done_testing();
