# What an operator does while everybody joins and leaves: VACUUM FULL, CLUSTER, REINDEX CONCURRENTLY,
# a base backup. Nothing fails, nothing is lost; and a server that is started from the backup goes on.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceLoad;
use PresenceTest;

my @commands = (
	'VACUUM FULL presence.room_presence', 'CLUSTER presence.room_presence USING room_presence_pkey',
	'REINDEX TABLE CONCURRENTLY presence.room_presence', 'VACUUM FULL presence.connection',
	'REINDEX TABLE CONCURRENTLY presence.connection', 'VACUUM (FREEZE, ANALYZE) presence.room_presence');
my $twice = 'SELECT count(*) FROM (SELECT FROM presence.room_presence WHERE left_at IS NULL GROUP BY user_id, book_id HAVING count(*) > 1) AS d';

# The B-trees of the history have each row, once.
sub indexes_are_whole
{
	my ($node, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sqlstate($node, 'postgres', q{
		SELECT bt_index_check(c.oid, true) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		WHERE i.indrelid = 'presence.room_presence'::regclass AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')}),
		'00000', "$name: each index has each row");
}

for my $plain (0, 1)
{
	my $how = $plain ? 'not preloaded' : 'preloaded';
	my $node = presence_node("maintenance_$plain", plain => $plain, init => { allows_streaming => 1 },
		conf => "max_connections = 40\ndeadlock_timeout = '20ms'\npresence.timeout = '3 s'");
	plan skip_all => 'amcheck is missing' if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") eq '0';
	$node->safe_psql('postgres', "CREATE EXTENSION amcheck; SELECT presence.join_room('stays', 'still', 'tab', ttl => '1 h')");
	my $listener = listener($node, 'postgres');
	$listener->read_rooms;

	my ($out, $err) = ('', '');
	my $load = start_load($node, 4, 8, \$out, \$err);
	my ($rounds, $backups, $end) = (0, 0, time + 3);
	while (time < $end || !$rounds)
	{
		is(sqlstate($node, 'postgres', $_), '00000', "$how: $_") for @commands;
		$node->backup('under_load') unless $backups++;
		$rounds++;
	}
	$load->finish;
	like($out, qr/^number of failed transactions: 0 /m, "$how: no call failed, in $rounds rounds") or diag($err);
	$node->safe_psql('postgres', 'SELECT presence.sweep()') if $plain;
	is($node->safe_psql('postgres', $twice), '0', "$how: nobody is there twice");
	indexes_are_whole($node, $how);
	is($node->safe_psql('postgres', "SELECT connections FROM presence.room_members('still')"), '1', "$how: who did nothing is there, with his tab");
	$listener->knows_all("$how: a listener knows what the table says");
	$listener->quit;

	# from the backup: another server, which has no connection
	my $copy = PostgreSQL::Test::Cluster->new("copy_$plain");
	$copy->init_from_backup($node, 'under_load');
	$copy->start;
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
	is($copy->safe_psql('postgres', $twice), '0', "$how: in the backup nobody is there twice");
	indexes_are_whole($copy, "$how: the backup");
	is($copy->safe_psql('postgres', "SELECT connections FROM presence.room_members('still')"), '0', "$how: who was there is there, without a tab");
	$copy->safe_psql('postgres', 'SELECT presence.sweep()') if $plain;
	is($copy->safe_psql('postgres', "SELECT added FROM presence.join_room('stays', 'still', 'tab', ttl => '1 h')"), 'f', "$how: he is joined again");
	wait_until('the others to go', sub {
		$copy->safe_psql('postgres', 'SELECT presence.sweep()') if $plain;
		return $copy->safe_psql('postgres', 'SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL') eq '1';
	});
	is($copy->safe_psql('postgres', "SELECT count(*) FROM presence.check() WHERE severity <> 'notice'"), '0', "$how: all is well there");
	for ($copy, $node)
	{
		$_->stop;
		nothing_crashed($_);
	}
}
done_testing();
