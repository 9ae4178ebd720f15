# Errors of many kinds in the worker's way: it cannot tell a row's fault from the server's by a
# code alone, since a trigger may raise any. Whoever can go goes in time.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('errors');
my $app = session($node, 'postgres');
$app->query("SELECT presence.join_room('first', 'start', ttl => '1 h')");
my $worker = wait_for_worker($node, 'postgres');
my $listener = listener($node, 'postgres');
$listener->read_rooms;

sub join_many
{
	my ($room, $count) = @_;
	return $app->query("SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'u' || i FROM generate_series(1, $count) AS i),
		array_fill('$room'::text, ARRAY[$count]), NULL, NULL, '1 s')");
}

# One test: so many of a room go in time.
sub gone
{
	my ($room, $count, $name) = @_;
	my $taken = seconds(sub {
		local $PostgreSQL::Test::Utils::timeout_default = 20;
		eval { wait_for_closed($node, 'postgres', $room, $count) };
	});

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok($taken, '<', 15, $name);
}

# A trigger that raises for one, with codes of all kinds
for my $code ('P0001', 'XX000', '53100', '57014', '58030', '40001', '40P01', '55P03')
{
	my $room = "code-$code";
	$app->query(qq{
		CREATE OR REPLACE FUNCTION code() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN RAISE EXCEPTION 'no with a code' USING ERRCODE = '$code'; END \$\$;
		CREATE TRIGGER code BEFORE UPDATE ON presence.room_presence
			FOR EACH ROW WHEN (OLD.book_id = '$room' AND OLD.user_id = 'u2') EXECUTE FUNCTION code()});
	join_many($room, 10);
	gone($room, 9, "$code: all others go");
	$app->query("DROP TRIGGER code ON presence.room_presence");
	gone($room, 10, "$code: he as well, as soon as it is over") if $code =~ /^(?:XX|53|57|58)/;
	$app->query("SELECT presence.forget_book('$room')");
}

# A trigger that takes its time, for some
$app->query(q{
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END';
	CREATE TRIGGER slow BEFORE UPDATE ON presence.room_presence FOR EACH ROW WHEN (OLD.book_id = 'slow') EXECUTE FUNCTION slow()});
join_many('slow', 50);
gone('slow', 50, 'a slow trigger');
$app->query('DROP TRIGGER slow ON presence.room_presence');

# A trigger that waits for somebody, for one: the others go meanwhile, and he goes then
my $lock = session($node, 'postgres');
$app->query(q{
	CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';
	CREATE TRIGGER waits BEFORE UPDATE ON presence.room_presence FOR EACH ROW WHEN (OLD.user_id = 'u2') EXECUTE FUNCTION waits()});
$lock->query('SELECT pg_advisory_lock(1)');
join_many('waits', 10);
gone('waits', 9, 'a trigger that waits: all others go');
$lock->query('SELECT pg_advisory_unlock(1)');
$app->query("DROP TRIGGER waits ON presence.room_presence; SELECT presence.forget_book('waits')");

# The table is locked for a while, longer than the worker waits for a lock: no row is to blame,
# and none must wait for long when it is free.
join_many('locked', 300);
$lock->query('BEGIN; LOCK TABLE presence.room_presence IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT');
gone('locked', 300, 'after a lock on the table all go');

# The same by a row each, of many that end together
join_many('rows', 300);
$lock->query("BEGIN; SELECT count(*) FROM (SELECT FROM presence.room_presence WHERE book_id = 'rows' FOR UPDATE) AS r; SELECT pg_sleep(3)");
$app->query("SELECT presence.join_room('other', 'rows-2', ttl => '1 s')");
gone('rows-2', 1, 'others go while 300 rows are locked');
$lock->query('COMMIT');
gone('rows', 300, 'and they go then');

# A cancelled worker, again and again: each time it goes on.
join_many('cancelled', 500);
for (1 .. 30)
{
	$app->query("SELECT pg_cancel_backend($worker), pg_sleep(0.1)");
}
gone('cancelled', 500, 'after 30 cancels all have gone');

$listener->knows_all('a listener knows it all');
same_worker($node, 'postgres', $worker);

$_->quit for $app, $lock, $listener;
$node->stop;
nothing_crashed($node);
done_testing();
