# presence.check(): no row where all is well, and the right one for each thing that can be wrong.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $clock = PostgreSQL::Test::Utils::tempdir() . '/clock';
my $stepped = 0;

# Steps the server's clock by two minutes.
sub later
{
	$stepped += 120;
	open my $out, '+<', $clock or die "could not open $clock: $!";
	print $out pack('q', $stepped);
	close $out;
	return;
}

sub findings
{
	my ($session) = @_;
	return $session->query("SELECT coalesce(string_agg(DISTINCT severity || ' ' || name, ', '), '') FROM presence.check()");
}

# One test: it comes to find this, and nothing but.
sub finds
{
	my ($session, $expected, $name) = @_;
	my $found;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(eval { wait_until($name, sub { $found = findings($session); $found eq $expected }); 1 }, $name)
	  || diag("found: $found");
}

append_to_file($clock, pack('q', 0));
my $node = presence_node('check', env => preload('clock', CLOCK_FILE => $clock), conf => q{
presence.timeout = '2 s'
presence.memory_limit = '16MB'
presence.event_queue_size = '64kB'
presence.max_databases = 2
max_prepared_transactions = 2
max_connections = 20
autovacuum = off
});
my $app = session($node, 'postgres');
my $other = session($node, 'postgres');
my $worker;

sub all_is_well
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return finds($app, '', $name);
}

$app->query("SELECT presence.join_room('ann', 'b', ttl => '1 h')");
$worker = wait_for_worker($node, 'postgres');
all_is_well('a new installation is well');

# who may ask
$node->safe_psql('postgres', q{
	CREATE ROLE web LOGIN; CREATE ROLE gateway LOGIN; CREATE ROLE monitor LOGIN;
	SELECT presence.grant_app('web'), presence.grant_gateway('gateway'), presence.grant_monitor('monitor');
});
is(sqlstate($node, 'postgres', 'SELECT * FROM presence.check()', user => $_), '42501', "$_ may not ask") for qw(web gateway);
my $monitor = session($node, 'postgres', user => 'monitor');
is(findings($monitor), '', 'who monitors may');

# each index, each trigger
my @indexes = split /\n/, $app->query(q{
	SELECT i.indexrelid::regclass, CASE WHEN c.conname IS NULL THEN 'DROP INDEX ' || i.indexrelid::regclass ELSE 'ALTER TABLE ' || c.conrelid::regclass || ' DROP CONSTRAINT ' || c.conname END
	FROM pg_index AS i JOIN pg_class AS r ON r.oid = i.indexrelid LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid
	WHERE r.relnamespace = 'presence'::regnamespace ORDER BY 1});
cmp_ok(scalar(@indexes), '>=', 20, 'there are indexes');
for my $index (@indexes)
{
	my ($name, $drop) = split /\|/, $index;
	is($app->query("BEGIN; $drop; SELECT name, detail LIKE '%\"' || split_part('$name', '.', 2) || '\"%' FROM presence.check(); ROLLBACK"), 'index_missing|t', "no $name");
}
$app->query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'presence.room_presence_user_idx'::regclass");
is($app->query('SELECT severity, name, hint FROM presence.check()'),
	'warning|index_invalid|If none is at work: REINDEX INDEX CONCURRENTLY presence.room_presence_user_idx, or drop it if it is a left-over.', 'an index that is not valid');
is($app->refused('REINDEX INDEX CONCURRENTLY presence.room_presence_user_idx'), '', 'the hint');
all_is_well('helps');
for my $trigger (split /\n/, $app->query(q{
	SELECT t.tgname, t.tgrelid::regclass FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
	WHERE c.relnamespace = 'presence'::regnamespace AND NOT t.tgisinternal ORDER BY 1}))
{
	my ($name, $table) = split /\|/, $trigger;
	is($app->query("BEGIN; DROP TRIGGER $name ON $table; SELECT name FROM presence.check(); ROLLBACK"), 'trigger_missing', "no $name");
	is($app->query("BEGIN; ALTER TABLE $table DISABLE TRIGGER $name; SELECT name FROM presence.check(); ROLLBACK"), 'trigger_disabled', "$name is disabled");
}
$app->query("CREATE TABLE book (slug text); CREATE TRIGGER forget AFTER DELETE ON book FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('book', 'slug')");
is($app->query("BEGIN; ALTER TABLE book DISABLE TRIGGER forget; SELECT name, detail FROM presence.check(); ROLLBACK"),
	'trigger_disabled|The trigger "forget" on book is disabled.', 'one that forgets');

# versions
$app->query("UPDATE pg_extension SET extversion = '0.2' WHERE extname = 'presence'");
is(findings($app), 'error version_mismatch', 'objects of another version');
$app->query("UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'presence') WHERE extname = 'presence'");
all_is_well('of the library\'s version');

# sequence, of what is open and of what is past
$app->query("INSERT INTO presence.room_presence (id, user_id, book_id) OVERRIDING SYSTEM VALUE VALUES (1000, 'copied', 'c')");
finds($app, 'warning sequence_behind', 'a sequence that is behind');
$app->query("SELECT presence.forget_book('c')");
all_is_well('no more');
$app->query(q{INSERT INTO presence.room_presence (id, user_id, book_id, left_at, leave_reason) OVERRIDING SYSTEM VALUE
	SELECT 1000 + i, 'copied', 'c', now(), 'left' FROM generate_series(1, 200000) AS i});
finds($app, 'warning statistics_missing', 'a table that nobody has analyzed');
$app->query('ANALYZE presence.room_presence');
finds($app, 'warning sequence_behind', 'a sequence behind the past');
$app->query("SELECT setval('presence.room_presence_id_seq', (SELECT max(id) FROM presence.room_presence))");
all_is_well('set as the hint says');
$app->query('TRUNCATE presence.room_presence; ANALYZE presence.room_presence');

# webhooks that wait
$app->query(q{INSERT INTO presence.pusher_app VALUES ('1', 'key', 'secret'); INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'http://localhost/');
	INSERT INTO presence.webhook_event (webhook, name, channel, event, at) SELECT id, 'channel_occupied', 'x', '{}', now() - interval '1 h' FROM presence.pusher_webhook});
finds($app, 'warning webhook_waiting', 'a webhook that nobody sends');
$app->query('DELETE FROM presence.webhook_event; DELETE FROM presence.pusher_webhook; DELETE FROM presence.pusher_app');

# an open presence that nothing holds: the worker finds it within a minute
$app->query("INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at) SELECT 'by hand', 'o', now() - interval '5 min', now() - interval '5 min'");
finds($app, 'warning orphans', 'an orphan');
$app->query("SELECT presence.sweep(); SELECT presence.forget_book('o')");
all_is_well('a sweep finds it');

# transactions that stay open
$app->query("SELECT presence.join_room('ann', 'b', ttl => '1 h')");
$other->query("BEGIN; SELECT presence.join_room('ann', 'b', 'tab', ttl => '1 h')");
finds($monitor, '', 'a transaction is open');
later();
finds($monitor, 'warning open_transaction', 'and stays open');
like($app->query("SELECT hint FROM presence.check() WHERE name = 'open_transaction'"), qr/pg_terminate_backend\(${\ $other->query('SELECT pg_backend_pid()')}\)/, 'which');
$other->query("PREPARE TRANSACTION 'forgotten'");
later();
finds($monitor, 'warning prepared_transaction', 'or is prepared, and forgotten');
$other->query("COMMIT PREPARED 'forgotten'");
all_is_well('it ends');

# the queue of NOTIFY
$other->query('LISTEN elsewhere; BEGIN');
$app->query("SELECT count(pg_notify('fill', i || repeat('x', 7900))) FROM generate_series(1, 12000) AS i");
finds($app, 'warning notify_queue_filling', 'a listener that does not read');
$other->query('COMMIT');
all_is_well('it reads');

# a worker that is stopped
$app->query("SELECT presence.join_room('short', 'b', ttl => '1 s')");
stop_worker($node, $worker);
$app->query("SELECT presence.join_room('u' || i, 'b', ttl => '1 h') FROM generate_series(1, 250) AS i");
finds($app, 'warning event_queue_filling', 'events wait');
later();
finds($app, 'error leases_not_ended, error worker_stuck, warning event_queue_filling', 'so do leases');
kill 'CONT', $worker;
all_is_well('it works on');

# memory
for my $batch (1 .. 100)
{
	last if $app->query("SELECT memory_used > memory_limit * 0.72 FROM presence.memory()") eq 't';
	$app->query("SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'm$batch-' || i FROM generate_series(1, 1000) AS i), array_fill('m'::text, '{1000}'), NULL, NULL, '1 h')");
}
finds($app, 'warning memory_filling', 'memory is filling');
my $state = '00000';
for my $batch (1 .. 100)
{
	$state = sqlstate($node, 'postgres', "SELECT count(*) FROM presence.join_rooms(ARRAY(SELECT 'n$batch-' || i FROM generate_series(1, 1000) AS i), array_fill('m'::text, '{1000}'), NULL, NULL, '1 h')");
	last if $state ne '00000';
}
is($state, '53200', 'a join is refused');
finds($app, 'error memory_full', 'memory is full');

# no place for a worker, for a launcher, for a database
$_->quit for $app, $other, $monitor;
for ([ 'max_worker_processes = 1', 'worker' ], [ 'max_worker_processes = 0', 'launcher' ])
{
	$node->append_conf('postgresql.conf', $_->[0]);
	$node->restart;
	$app = session($node, 'postgres');
	finds($app, 'error worker_missing', "no place for a $_->[1]");
	$app->quit;
}
$node->append_conf('postgresql.conf', "max_worker_processes = 8\npresence.max_databases = 1");
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION presence');
$node->restart;
$app = session($node, 'postgres');
$other = session($node, 'second');
wait_until('a database without a place', sub { join(', ', sort(findings($app), findings($other))) eq ', error database_not_served' });
pass('no place for a second database');
$_->quit for $app, $other;
$node->stop;
nothing_crashed($node);

# Not preloaded: nobody sweeps
my $plain = presence_node('check_plain', plain => 1, env => preload('clock', CLOCK_FILE => $clock));
$app = session($plain, 'postgres');
finds($app, 'notice not_preloaded', 'not preloaded: well else');
$app->query(q{
	SELECT presence.join_room('ann', 'b', ttl => '1 s');
	INSERT INTO presence.room_presence (user_id, book_id, joined_at, last_active_at) SELECT 'ben', 'b', now() - interval '5 min', now() - interval '5 min';
});
later();
finds($app, 'error leases_not_ended, notice not_preloaded, warning orphans', 'not preloaded: nobody sweeps');
$app->query('SELECT presence.sweep()');
finds($app, 'notice not_preloaded', 'not preloaded: somebody does');
$app->quit;
$plain->stop;
nothing_crashed($plain);
done_testing();
