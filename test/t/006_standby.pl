# A hot standby: reads work there, writes say why not, and after its promotion
# it has a worker and ends who is silent.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $primary = presence_node('primary', init => { allows_streaming => 1 },
	conf => "presence.timeout = '6 s'\nmax_connections = 20");
my $standby = PostgreSQL::Test::Cluster->new('standby');

$primary->backup('base');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{
	INSERT INTO presence.pusher_app VALUES ('1', 'a-key', 'a-secret');
	CREATE ROLE web LOGIN;
	SELECT presence.grant_app('web');
	SELECT presence.grant_monitor('web');
	SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Ann"}', true, '1 h');
	SELECT presence.join_room('ann', 'b', 'tab-2', ttl => '1 h');
	SELECT presence.join_room('ben', 'b', ttl => '1 h');
	SELECT presence.join_room('cy', 'b', ttl => '1 h');
	SELECT presence.leave_room('cy', 'b');
});
my $handle = $primary->safe_psql('postgres', "SELECT id FROM presence.connections WHERE user_id = 'ben'");
my $authorized = $primary->safe_psql('postgres',
	"SELECT presence.pusher_authorize_channel('ann', '1.2', 'presence-room-b')");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

# Reads, as a role that may
sub reads
{
	my ($sql, $expected, $name) = @_;
	my $out = '';
	my $error = '';

	$standby->psql('postgres', $sql, stdout => \$out, stderr => \$error, extra_params => [ '-U', 'web' ]);
	return is($out . $error, $expected, "on the standby: $name");
}

reads("SELECT user_id, user_info, is_author, connections IS NULL, joined_at = last_active_at FROM presence.room_members('b')",
	qq(ann|{"name": "Ann"}|t|t|t\nben||f|t|t), 'room_members');
reads("SELECT presence.member_count('b'), presence.member_count('c')", '2|0', 'member_count');
reads("SELECT book_id, is_author FROM presence.user_rooms('ann')", 'b|t', 'user_rooms');
reads("SELECT user_id FROM presence.members_at('b', now())", "ann\nben", 'members_at');
reads("SELECT members FROM presence.peak_members('b', now() - interval '1 h')", '3', 'peak_members');
reads("SELECT max(members) FROM presence.peak_members_by_day('b', now() - interval '1 h')", '3', 'peak_members_by_day');
reads("SELECT sum(joins) FROM presence.busiest_hours('b', now() - interval '1 h')", '3', 'busiest_hours');
reads("SELECT stays FROM presence.average_stay('b')", '1', 'average_stay');
reads("SELECT * FROM presence.largest_rooms()", 'b|2', 'largest_rooms');
reads("SELECT presence.time_in_room('ann', 'b') > '0'", 't', 'time_in_room');
reads('SELECT user_id, connections IS NULL FROM presence.online ORDER BY 1', "ann|t\nben|t", 'the view online');
reads('SELECT room, members, connections IS NULL FROM presence.rooms', 'b|2|t', 'the view rooms');
reads('SELECT members, connections IS NULL, worker_pid IS NULL, worker_state FROM presence.stats',
	'2|t|t|none on a standby', 'the view stats');
reads('SELECT severity, name FROM presence.check()', 'notice|standby', 'check');
reads("SELECT presence.pusher_authorize_channel('ann', '1.2', 'presence-room-b')",
	$authorized, 'pusher_authorize_channel signs the same');
is($standby->safe_psql('postgres', "SELECT presence.pusher_auth_signature('1.2', 'private-x')"),
	$primary->safe_psql('postgres', "SELECT presence.pusher_auth_signature('1.2', 'private-x')"),
	'on the standby: pusher_auth_signature');

# Writes
for my $call (
	"join_room('eve', 'b')", "join_rooms('{eve}', '{b}', NULL, NULL)", "leave_room('ann', 'b')",
	"leave_room('ann', 'b', 'tab-1')", "touch_room('ann', 'b', 'tab-1')", "touch(ARRAY[$handle])",
	"poll_room('ann', 'b', 'tab-1')", "poll_room_changes('ann', 'b', 'tab-1')", "drop_connections(ARRAY[$handle])", 'sweep()',
	"purge_history('1 h')", "forget_user('ann')", "forget_book('b')")
{
	is(sqlstate($standby, 'postgres', "SELECT presence.$call"), '25006', "on the standby: $call is refused");
}
is(sqlstate($standby, 'postgres', "SELECT * FROM presence.$_"), '0A000', "on the standby there is no $_") for qw(event_secret channel_cache connection);
is($primary->safe_psql('postgres', q{
	CREATE PUBLICATION everything FOR ALL TABLES;
	SELECT count(*) FROM pg_publication_tables WHERE tablename IN ('event_secret', 'channel_cache', 'connection');
	DROP PUBLICATION everything}), '0', 'nor in a publication of all tables');
my $error = '';
$standby->psql('postgres', "SELECT presence.join_room('eve', 'b')", stderr => \$error);
like($error, qr/ERROR:  cannot execute presence\.join_room\(\) during recovery/, 'and says why');
is(sqlstate($primary, 'postgres', "BEGIN READ ONLY; SELECT presence.join_room('eve', 'b')"),
	'25006', 'in a read-only transaction of the primary as well');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'presence%'"),
	'0', 'no process of ours on the standby');

# What the primary ends is gone on the standby.
$primary->safe_psql('postgres', "SELECT presence.leave_room('ben', 'b')");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($standby->safe_psql('postgres', "SELECT presence.member_count('b')"), '1', 'a leave arrives');
$primary->safe_psql('postgres', "SELECT presence.join_room('ben', 'b', ttl => '1 h')");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

# Promotion, with a session that has used presence before
my $session = session($standby, 'postgres');
is($session->query("SELECT presence.member_count('b')"), '2', 'a session before the promotion');
$primary->stop('immediate');
$standby->promote;
wait_for_worker($standby, 'postgres');
pass('a worker after the promotion');
is($session->query("SELECT string_agg(user_id || ' ' || connections, ', ') FROM presence.room_members('b')"),
	'ann 0, ben 0', 'members stay, their connections do not');
is($session->query("SELECT presence.touch(ARRAY[$handle])"), "{$handle}", 'handles of the old primary are unknown');
my $listener = listener($standby, 'postgres');
is($session->query("SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')"), 'f', 'ann is joined again');
is($listener->news(1), 'member_removed ben timeout', 'ben, who is not, goes after one lease');
is($session->query("SELECT worker_state, members, connections FROM presence.stats"), 'running|1|1', 'presence.stats');
$session->query("SELECT presence.join_room('dee', 'b', ttl => '1 s')");
is($listener->news(2), 'member_added dee, member_removed dee timeout', 'leases end');

$_->quit for $session, $listener;
$standby->stop('fast');
nothing_crashed($standby);
done_testing();
