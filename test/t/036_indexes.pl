# Joins and leaves while somebody makes, rebuilds and drops indexes, constraints and triggers on
# their table: every index has every row, and what is told adds up.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('indexes', conf => "max_connections = 50\nautovacuum_naptime = '1 s'");
plan skip_all => 'amcheck is missing' if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") eq '0';
$node->safe_psql('postgres', q{
	CREATE EXTENSION amcheck;
	CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
});

my $script = PostgreSQL::Test::Utils::tempdir() . '/pairs.pgbench';
append_to_file($script, <<'END');
\set user random(1, 200)
\set book random(1, 20)
SELECT presence.join_room(:user, :book, 'tab-' || :client_id::text, '{"name": "Ann"}', ttl => '1 h');
SELECT presence.leave_room(:user, :book, 'tab-' || :client_id::text);
END
my $listener = listener($node, 'postgres');
my $errors = '';
my $pgbench = IPC::Run::start(
	[ $node->installed_command('pgbench'), '-n', '-M', 'prepared', '-c', 6, '-T', 12, '-f', $script, '-d', $node->connstr('postgres') ],
	'>', \my $out, '2>', \$errors);

my $rounds = 0;
my $started = time;
while (time - $started < 10)
{
	$node->safe_psql('postgres', $_) for (
		'CREATE INDEX CONCURRENTLY own_author ON presence.room_presence (is_author, user_id)',
		'CREATE INDEX CONCURRENTLY own_ended ON presence.room_presence (leave_reason) WHERE left_at IS NOT NULL',
		'CREATE INDEX own_info ON presence.room_presence USING gin (user_info)',
		'REINDEX TABLE CONCURRENTLY presence.room_presence',
		'CREATE TRIGGER own AFTER INSERT OR UPDATE ON presence.room_presence FOR EACH ROW EXECUTE FUNCTION pass()',
		"ALTER TABLE presence.room_presence ADD CONSTRAINT own CHECK (user_id <> '') NOT VALID",
		'DROP TRIGGER own ON presence.room_presence',
		'VACUUM presence.room_presence',
		"SELECT bt_index_check(c.oid, true) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
			WHERE i.indrelid = 'presence.room_presence'::regclass AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')",
		'DROP INDEX CONCURRENTLY presence.own_author',
		'ALTER TABLE presence.room_presence DROP CONSTRAINT own',
		'DROP INDEX presence.own_info, presence.own_ended');
	$rounds++;
}
$pgbench->finish;
cmp_ok($rounds, '>', 0, "$rounds rounds of commands");
like($out, qr/^number of failed transactions: 0 /m, 'no join and no leave failed');
unlike($errors, qr/ERROR|FATAL/, 'nor was there an error');

is($node->safe_psql('postgres', q{
	SELECT count(*) FROM (SELECT bt_index_check(c.oid, true) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		WHERE i.indrelid = 'presence.room_presence'::regclass AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')) AS checked}),
	'4', 'each index has each row');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT FROM presence.room_presence WHERE left_at IS NULL GROUP BY user_id, book_id HAVING count(*) > 1) AS d'),
	'0', 'nobody is there twice');
is($node->safe_psql('postgres', 'SELECT joins - leaves - timeouts = members FROM presence.stats'), 't', 'the counters add up to the table');
is($node->safe_psql('postgres', 'SELECT resyncs FROM presence.stats'), '0', 'no event was lost');
$_->quit for $listener;
$node->stop;
nothing_crashed($node);
done_testing();
