# Rows that cannot be changed: an owner's trigger or constraint says no to one user. He is set
# aside with a warning and tried again later; everybody else goes in time.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use PresenceTest;

my $node = presence_node('bad_rows');
my $app = session($node, 'postgres');
$app->query("SELECT presence.join_room('first', 'start', ttl => '1 h')");
my $worker = wait_for_worker($node, 'postgres');
my $listener = listener($node, 'postgres');
$listener->read_rooms;

$app->query(q{
	CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF TG_OP = 'DELETE' OR NEW.left_at IS NOT NULL THEN
			RAISE EXCEPTION 'the owner says no to %', OLD.user_id;
		END IF;
		RETURN NEW;
	END
	$$;
	CREATE FUNCTION ignore() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
});

# The processor time that the worker has had, in ticks of which there are 100 a second
sub ticks
{
	my @fields = split / /, slurp_file("/proc/$worker/stat");
	return $fields[13] + $fields[14];
}

# Members whose leases end together, some of whom must not go: all others do, in time, and the
# worker goes on, and rests.
sub all_but
{
	my ($room, $count, @bad) = @_;
	my $offset = -s $node->logfile;

	$app->query("SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'u' || i FROM generate_series(1, $count) AS i),
		array_fill('$room'::text, ARRAY[$count]), NULL, NULL, '1 s')");
	wait_for_closed($node, 'postgres', $room, $count - @bad);
	is( $app->query("SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM presence.room_presence
			WHERE book_id = '$room' AND left_at IS NULL"),
		join(' ', @bad), "$room: all have left but those who must not");
	is( $app->query("SELECT count(*) FROM presence.room_presence WHERE book_id = '$room' AND left_at IS NOT NULL
			AND (leave_reason <> 'timeout' OR left_at > joined_at + interval '2 s')"),
		'0', "$room: at their leases' end");
	same_worker($node, 'postgres', $worker, "$room: the worker lives");
	$app->query("SELECT presence.join_room('after', '$room', ttl => '1 s')");
	wait_for_closed($node, 'postgres', $room, $count - @bad + 1);
	my $before = ticks();
	usleep(2_000_000);
	cmp_ok(ticks() - $before, '<', 50, "$room: it rests");
	return substr slurp_file($node->logfile), $offset;
}

# A trigger that raises, for two of many
$app->query(q{CREATE TRIGGER no BEFORE UPDATE OR DELETE ON presence.room_presence
	FOR EACH ROW WHEN (OLD.book_id = 'raises' AND OLD.user_id IN ('u7', 'u300')) EXECUTE FUNCTION no()});
my $log = all_but('raises', 500, 'u300', 'u7');
like($log, qr/WARNING:.*(?:\n.*)*the owner says no to $_/, "a warning tells of $_") for 'u7', 'u300';
my @warnings = $log =~ /WARNING:/g;
cmp_ok(scalar(@warnings), '<=', 10, 'and does not fill the log');
$listener->follow;
is(scalar(grep { /^raises / } $listener->follow), 2, 'the events tell of the others');
ok($app->refused("SELECT presence.forget_user('u7')") =~ /the owner says no/, 'who calls sees the error himself');

# Deferred to the commit: the worker fires it with its statement
$app->query(q{CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON presence.room_presence DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (OLD.user_id = 'u3') EXECUTE FUNCTION no()});
like(all_but('commit', 20, 'u3'), qr/WARNING:.*(?:\n.*)*the owner says no to u3/, 'a warning tells of u3');
$app->query('DROP TRIGGER late ON presence.room_presence');

# A constraint
$app->query(q{ALTER TABLE presence.room_presence ADD CONSTRAINT stays CHECK (user_id <> 'u4' OR book_id <> 'check' OR left_at IS NULL)});
like(all_but('check', 20, 'u4'), qr/WARNING:.*(?:\n.*)*violates check constraint "stays"/, 'a warning tells of it');
$app->query('ALTER TABLE presence.room_presence DROP CONSTRAINT stays');

# A trigger that lets the change pass by without a word
$app->query(q{CREATE TRIGGER ignore BEFORE UPDATE ON presence.room_presence
	FOR EACH ROW WHEN (OLD.user_id = 'u5') EXECUTE FUNCTION ignore()});
all_but('ignored', 20, 'u5');
$app->query('DROP TRIGGER ignore ON presence.room_presence');

# History that may not be deleted, by an error or without a word, before what may: however much
# of it there is, it keeps nothing else.
sub old_stays
{
	my ($room, $count) = @_;

	$app->query("INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at, left_at, leave_reason)
		SELECT 'o' || i, '$room', now() - interval '3 h', now() - interval '3 h', now() - interval '2 h', 'left' FROM generate_series(1, $count) AS i");
	return;
}

sub old_stays_left
{
	my ($room, $count, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', "SELECT count(*) = $count FROM presence.room_presence WHERE book_id = '$room'"), $name);
}
$app->query(q{
	CREATE TRIGGER keep BEFORE DELETE ON presence.room_presence FOR EACH ROW
		WHEN (OLD.user_id = 'o9' AND OLD.book_id = 'old' OR OLD.book_id = 'kept') EXECUTE FUNCTION no();
	CREATE TRIGGER ignore BEFORE DELETE ON presence.room_presence FOR EACH ROW
		WHEN (OLD.book_id = 'kept-silently') EXECUTE FUNCTION ignore();
});
old_stays('kept', 4500);
old_stays('kept-silently', 4500);
old_stays('old', 100);
my $offset = -s $node->logfile;
$app->query("ALTER SYSTEM SET presence.history_retention = '1 h'");
$app->query('SELECT pg_reload_conf()');
old_stays_left('old', 1, 'history is deleted but for one stay');
# and what grows old later; a reload begins the next round
old_stays('late', 100);
$app->query('SELECT pg_reload_conf()');
quick(40, 'in time', sub { old_stays_left('late', 0, 'and what grows old later') });
old_stays_left($_, 4500, "$_ is") for 'kept', 'kept-silently';
@warnings = substr(slurp_file($node->logfile), $offset) =~ /WARNING:  could not delete.*/g;
cmp_ok(scalar(@warnings), '<=', 12, 'the log is not filled with it');
like(join("\n", @warnings), qr/could not delete 449\d presences more/, 'but tells how many it is about');
same_worker($node, 'postgres', $worker, 'the worker lives');
$app->query("SELECT presence.join_room('after', 'old-2', ttl => '1 s')");
wait_for_closed($node, 'postgres', 'old-2', 1);
# Who was set aside first is tried again, every minute.
$app->query('DROP TRIGGER no ON presence.room_presence');
quick(75, 'who was set aside goes later', sub { wait_for_closed($node, 'postgres', 'raises', 501) });
$listener->knows_all('with his event');

$_->quit for $app, $listener;
$node->stop;
nothing_crashed($node);
done_testing();
