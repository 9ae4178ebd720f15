# Databases whose encoding is not UTF-8. Events are told in UTF-8: what has none is no name of a user, and a row
# that somebody wrote by hand with it costs a resync, not the events of all others.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('encodings', bare => 1, conf => "presence.timeout = '2 s'");

# name, encoding, what is no UTF-8 there, what is
for my $case ([ 'ascii', 'SQL_ASCII', "E'\\xeb'", "E'J\\xc3\\xbcrgen'" ], [ 'japanese', 'EUC_JP', "E'\\xf5\\xa1'", "E'\\xb0\\xa1'" ])
{
	my ($dbname, $encoding, $bad, $good) = @$case;

	$node->safe_psql('postgres', "CREATE DATABASE $dbname TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($dbname, 'CREATE EXTENSION presence');
	$node->safe_psql($dbname, "SELECT presence.join_room($good, 'b', user_info => jsonb_build_object('n', $good), ttl => '1 h')");
	is($node->safe_psql($dbname, "SELECT count(*) FROM presence.room_members('b')"), '1', "$encoding: a name that has UTF-8");
	for my $call ("join_room($bad, 'b')", "join_room('ann', 'b', user_info => jsonb_build_object('n', $bad))",
		"join_room('ann', 'b', user_info => jsonb_build_object($bad, 1))", "join_rooms(ARRAY['ann', $bad], '{b,b}', NULL, NULL)", "user_rooms($bad)")
	{
		is(sqlstate($node, $dbname, "SELECT presence.$call"), '22021', "$encoding: $call");
	}
	is($node->safe_psql($dbname, 'SELECT count(*) FROM presence.room_presence'), '1', "$encoding: nothing is left of them");

	wait_for_worker($node, $dbname);
	my $listener = listener($node, $dbname);
	$node->safe_psql($dbname, "INSERT INTO presence.room_presence (user_id, book_id) VALUES ($bad, 'b')");
	$node->safe_psql($dbname, 'SELECT presence.sweep()'); # gives it a lease, as the worker would within a minute
	wait_for_closed($node, $dbname, 'b', 1);
	$node->safe_psql($dbname, "SELECT presence.join_room('later', 'b', ttl => '1 h')");
	is($listener->news(2), 'resync, member_added later', "$encoding: a row that can't be told ends, and others are told");
	$listener->quit;
}
$node->stop;
nothing_crashed($node);
unlike(slurp_file($node->logfile), qr/presence worker.*ERROR/, 'the worker has no error');
done_testing();
