# An open row that nothing holds, and a transaction has its member while the worker looks for such rows:
# it looks again soon, and he does not stay.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('held_row', conf => "presence.timeout = '2 s'");
$node->safe_psql('postgres', "SELECT presence.member_count('b')");
my $worker = wait_for_worker($node, 'postgres');
my $app = session($node, 'postgres');

# what a crash leaves: a row, and no connection
$node->safe_psql('postgres', "INSERT INTO presence.room_presence (user_id, book_id) VALUES ('ann', 'b')");
$app->query("BEGIN; SELECT presence.leave_room('ann', 'b')");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
wait_for_worker($node, 'postgres', $worker);
sleep 2;
is($node->safe_psql('postgres', 'SELECT count(*) FROM presence.connections'), '0', 'he is held, and has no stand-in');
$app->query('ROLLBACK');
my $begin = time;
wait_for_closed($node, 'postgres', 'b', 1);
cmp_ok(time - $begin, '<', 25, 'gone a lease after it was rolled back');
$app->quit;
$node->stop;
nothing_crashed($node);
done_testing();
