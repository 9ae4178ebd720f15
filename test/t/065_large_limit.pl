# A presence.memory_limit that is much larger than what is in use: it costs nothing. Of the memory, each
# process touches what there is, not what there might be.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('large', conf => "presence.memory_limit = '1GB'");

# Of the shared memory, in kB, what a process has touched.
sub touched
{
	my ($pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssShmem:\s+(\d+) kB/m;
	return $kb;
}

my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /\A(\d+)/;
cmp_ok(touched($postmaster), '<', 16 * 1024, 'the server starts without touching it');

my $app = session($node, 'postgres');
my $rooms = 2000;
is( $app->query("SELECT count(*) FROM presence.join_rooms(
		ARRAY(SELECT 'u' || i % 500 FROM generate_series(1, $rooms) AS i),
		ARRAY(SELECT 'r' || i FROM generate_series(1, $rooms) AS i), NULL, NULL, '1 h')"),
	$rooms, 'rooms have members');
my $worker = wait_for_worker($node, 'postgres');
is($app->query('SELECT members, connections FROM presence.stats'), "$rooms|$rooms", 'who are counted');
is($app->query('SELECT count(*), count(DISTINCT id) FROM presence.connections'), "$rooms|$rooms", 'and looked at');
cmp_ok(touched($app->pid), '<', 32 * 1024, 'by a backend that touches little more than that');

# The tables have grown meanwhile, bucket by bucket: each is found where it was put, by both of its keys.
my $handles = 'ARRAY(SELECT id FROM presence.connections)';
is($app->query("SELECT count(*) FROM unnest(presence.touch($handles))"), 0, 'each is found by its handle');
is($app->query("SELECT count(*) FROM generate_series(1, $rooms) AS i WHERE presence.touch_room('u' || i % 500, 'r' || i)"),
	$rooms, 'and by its name');
is($app->query("SELECT count(*) FILTER (WHERE presence.leave_room('u' || i % 500, 'r' || i)) FROM generate_series(1, $rooms, 2) AS i"),
	$rooms / 2, 'half of them leave');
is($app->query("SELECT string_agg(DISTINCT (i % 2)::text, '') FROM generate_series(1, $rooms) AS i WHERE presence.member_count('r' || i) > 0"),
	'0', 'and the others stay');
is($app->query("SELECT count(*) FROM presence.join_rooms(
		ARRAY(SELECT 'v' || i FROM generate_series(1, 5000) AS i), array_fill('crowd'::text, '{5000}'), NULL, NULL, '1 h')"),
	5000, 'a room is as large as it likes');
is($app->query("SELECT count(*) FROM generate_series(1, 5000) AS i WHERE presence.touch_room('v' || i, 'crowd')"), 5000, 'and each of it is found');
same_worker($node, 'postgres', $worker);

$app->quit;
$node->stop;
nothing_crashed($node);
done_testing();
