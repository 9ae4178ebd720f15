# pg_dump and pg_restore, by a superuser and by an owner who is none: history, open
# presences, apps, sequences and grants survive.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('dump', bare => 1, conf => "presence.timeout = '6 s'\nmax_worker_processes = 20");
my $dir = $node->basedir;

# Runs a client program; one test.
sub runs
{
	my ($name, @command) = @_;

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port);
	return command_ok([@command], $name);
}

# Its output on stderr must be empty as well.
sub runs_quietly
{
	my ($name, @command) = @_;

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port);
	my ($out, $error) = run_command([@command]);
	return is($error, '', $name);
}

# What the docs tell to have instead of a column of one's own
my $operations = slurp_file($INC{'PresenceTest.pm'} =~ s{test/perl/[^/]*\z}{docs/operations.md}r);
my ($stay_note) = $operations =~ /^(CREATE TABLE stay_note .*?^\);)$/ms;

# What has to survive: the tables but for the connections, the sequences, privileges, owners.
sub contents
{
	my ($dbname) = @_;

	return $node->safe_psql($dbname, q{
		SELECT id, user_id, book_id, joined_at, last_active_at, left_at, leave_reason, is_author, user_info
		FROM presence.room_presence ORDER BY id;
		SELECT * FROM presence.pusher_app ORDER BY app_id;
		SELECT * FROM presence.pusher_webhook ORDER BY id;
		SELECT last_value, is_called FROM presence.room_presence_id_seq;
		SELECT last_value FROM presence.connection_handle;
		SELECT last_value FROM presence.event_seq;
		SELECT n.*, p.user_id FROM stay_note AS n JOIN presence.room_presence AS p ON p.book_id = n.book_id AND p.id = n.presence_id;
	});
}

# Without the superuser's own: an object may be owned by who restores.
sub privileges
{
	my ($dbname) = @_;

	return $node->safe_psql($dbname, q{
		SELECT r.rolname, p.oid::regprocedure::text
		FROM pg_proc AS p, pg_roles AS r
		WHERE p.pronamespace = 'presence'::regnamespace AND r.rolname IN ('web', 'gateway', 'monitor', 'nobody')
			AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
		ORDER BY 1, 2;
		SELECT r.rolname, c.relname, p
		FROM pg_class AS c, pg_roles AS r, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
		WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind IN ('r', 'v')
			AND r.rolname IN ('web', 'gateway', 'monitor', 'nobody') AND has_table_privilege(r.oid, c.oid, p)
		ORDER BY 1, 2, 3;
	});
}

# Tests of a database that was restored: it goes on where the dumped one was.
sub goes_on
{
	my ($dbname, $name, $owner) = @_;
	my ($max_id, $max_handle) = split /\|/, $node->safe_psql('app',
		'SELECT max(id), (SELECT last_value FROM presence.connection_handle) FROM presence.room_presence');
	my $session = session($node, $dbname, user => 'web');

	is($session->query("SELECT string_agg(user_id || ' ' || connections, ', ') FROM presence.room_members('b')"),
		'ann 0, ben 0', "$name: who was there is there, without connections");
	is($session->query("SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')"), 'f',
		"$name: ann is joined again");
	is($session->query("SELECT added, id > $max_id, connection > $max_handle FROM presence.join_room('new', 'b', ttl => '1 h')"),
		't|t|t', "$name: new ids go on");
	ok($node->poll_query_until($dbname, "SELECT leave_reason = 'timeout' FROM presence.room_presence WHERE user_id = 'ben' AND id = 3"),
		"$name: ben goes after one lease");
	is($session->query("SELECT presence.pusher_auth_signature('1.2', 'private-x')"),
		$node->safe_psql('app', "SELECT presence.pusher_auth_signature('1.2', 'private-x')"), "$name: the secret signs");
	is(sqlstate($node, $dbname, "SELECT * FROM presence.$_", user => 'web'), '42501', "$name: web reads no $_")
	  for qw(room_presence connection pusher_app);
	is(sqlstate($node, $dbname, "INSERT INTO presence.pusher_app VALUES ('x', 'x', 'x')", user => $owner), '00000',
		"$name: its owner is the owner")
	  if $owner;
	$session->quit;
	return;
}

# A database owner, who is no superuser, creates the extension: it is trusted.
$node->safe_psql('postgres', q{
	CREATE ROLE owner LOGIN CREATEDB;
	CREATE ROLE web LOGIN; CREATE ROLE gateway LOGIN; CREATE ROLE monitor LOGIN; CREATE ROLE nobody LOGIN;
	CREATE DATABASE app OWNER owner;
});
my $session = session($node, 'app', user => 'owner');
is($session->refused('CREATE EXTENSION presence'), '', 'the owner of a database creates the extension');
is($session->refused("SELECT presence.grant_app('web'), presence.grant_gateway('gateway'), presence.grant_monitor('monitor')"),
	'', 'and grants');
$session->query(q{
	INSERT INTO presence.pusher_app VALUES ('1', 'a-key', 'a-secret');
	INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'https://app.example.com/hook');
	SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Ann"}', true, '1 h');
	SELECT presence.join_room('cy', 'b', ttl => '1 h');
	SELECT presence.join_room('ben', 'b', ttl => '1 h');
	SELECT presence.leave_room('cy', 'b');
});
is($session->refused("$stay_note INSERT INTO stay_note SELECT book_id, id, 'first' FROM presence.room_presence WHERE user_id = 'ann'"), '', 'and has a table beside presence\'s');
is(sqlstate($node, 'app', "SELECT presence.join_room('dee', 'c')", user => 'web'), '00000', 'the app calls');
is(sqlstate($node, 'app', "SELECT presence.leave_room('dee', 'c')", user => 'web'), '00000', 'and calls');
for my $table (qw(room_presence connection pusher_app online))
{
	is(sqlstate($node, 'app', "SELECT * FROM presence.$table", user => 'web'), '42501', "it reads no $table");
}
is(sqlstate($node, 'app', 'SELECT * FROM presence.pusher_apps()', user => 'web'), '42501', 'nor the secrets');
is(sqlstate($node, 'app', "INSERT INTO presence.room_presence (user_id, book_id) VALUES ('x', 'y')", user => 'web'),
	'42501', 'nor forges a row');
is(sqlstate($node, 'app', "SELECT presence.grant_app('nobody')", user => 'web'), '42501', 'nor grants');
is(sqlstate($node, 'app', "SELECT presence.join_room('x', 'y')", user => 'nobody'), '42501', 'others may nothing');
is(sqlstate($node, 'app', 'SELECT * FROM presence.online', user => 'monitor'), '00000', 'who monitors sees');
is(sqlstate($node, 'app', 'SELECT count(*) FROM presence.pusher_apps()', user => 'gateway'), '00000', 'a gateway verifies');

# Nothing changes from here on: no lease of the original ends before the tests do.
my $contents = contents('app');
my $privileges = privileges('app');
like($privileges, qr/^web\|presence\.join_room/m, 'there are grants to compare');
unlike($privileges, qr/^nobody/m, 'and none to others');

# As a superuser
runs_quietly('pg_dump', 'pg_dump', '-Fc', '-f', "$dir/super.dump", 'app');
runs('createdb', 'createdb', '-O', 'owner', 'super');
runs_quietly('pg_restore', 'pg_restore', '-d', 'super', "$dir/super.dump");
is(contents('super'), $contents, 'a superuser: the contents');
is(privileges('super'), $privileges, 'a superuser: the privileges');
goes_on('super', 'a superuser');

# As the owner
runs_quietly('pg_dump by the owner', 'pg_dump', '-U', 'owner', '-Fc', '-f', "$dir/owner.dump", 'app');
runs('createdb by the owner', 'createdb', '-U', 'owner', 'owned');
runs_quietly('pg_restore by the owner', 'pg_restore', '-U', 'owner', '-d', 'owned', "$dir/owner.dump");
is(contents('owned'), $contents, 'the owner: the contents');
is(privileges('owned'), $privileges, 'the owner: the privileges');
goes_on('owned', 'the owner', 'owner');

# As a script
runs_quietly('pg_dump, plain', 'pg_dump', '-U', 'owner', '-f', "$dir/plain.sql", 'app');
runs('createdb for the script', 'createdb', '-U', 'owner', 'plain');
runs_quietly('psql', 'psql', '-X', '-q', '-U', 'owner', '-v', 'ON_ERROR_STOP=1', '-d', 'plain', '-f', "$dir/plain.sql", '-o', '/dev/null');
is(contents('plain'), $contents, 'a script: the contents');
is(privileges('plain'), $privileges, 'a script: the privileges');
goes_on('plain', 'a script', 'owner');

# A column of one's own: the restore fails, unless the column is there before.
runs('createdb to widen', 'createdb', '-U', 'owner', '-T', 'owned', 'wide');
$node->safe_psql('wide', q{ALTER TABLE presence.room_presence ADD COLUMN mood text; UPDATE presence.room_presence SET mood = 'glad'});
runs_quietly('pg_dump with a column', 'pg_dump', '-U', 'owner', '-Fc', '-f', "$dir/wide.dump", 'wide');
for my $prepared (0, 1)
{
	runs('createdb for it', 'createdb', '-U', 'owner', "wide_$prepared");
	$node->safe_psql("wide_$prepared", 'CREATE EXTENSION presence; ALTER TABLE presence.room_presence ADD COLUMN mood text', extra_params => [ '-U', 'owner' ])
	  if $prepared;
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port);
	my ($out, $error) = run_command([ 'pg_restore', '-U', 'owner', '-d', "wide_$prepared", "$dir/wide.dump" ]);
	if ($prepared) { unlike($error =~ s/schema "presence" already exists//r, qr/ERROR:  [^\n]/, 'a column that is there is restored') }
	else { like($error, qr/column "mood" of relation "room_presence" does not exist/, 'one that is not fails') }
}
is($node->safe_psql('wide_1', "SELECT count(*) > 0 AND bool_and(mood = 'glad') FROM presence.room_presence"), 't', 'with its values');
$node->safe_psql('wide_1', "SELECT presence.join_room('ann', 'wide')");

# Data only, into an extension that is there, with its worker
runs_quietly('pg_dump --data-only', 'pg_dump', '-U', 'owner', '--data-only', '-f', "$dir/data.sql", 'app');
runs('createdb for the data', 'createdb', '-U', 'owner', 'data');
$node->safe_psql('data', "CREATE EXTENSION presence; SELECT presence.grant_app('web'); $stay_note", extra_params => [ '-U', 'owner' ]);
$node->safe_psql('data', 'SELECT FROM presence.stats');
wait_for_worker($node, 'data');
runs_quietly('psql with the data', 'psql', '-X', '-q', '-U', 'owner', '-v', 'ON_ERROR_STOP=1', '-d', 'data', '-f', "$dir/data.sql", '-o', '/dev/null');
is(contents('data'), $contents, 'data only: the contents');
$node->safe_psql('data', 'SELECT presence.sweep()');
goes_on('data', 'data only', 'owner');

# A second round: what was restored can be dumped
runs_quietly('pg_dump of what was restored', 'pg_dump', '-U', 'owner', '-Fc', '-f', "$dir/again.dump", 'owned');
my $again = slurp_file("$dir/again.dump");
runs('createdb for it', 'createdb', '-U', 'owner', 'again');
runs_quietly('pg_restore of it', 'pg_restore', '-U', 'owner', '-d', 'again', "$dir/again.dump");
is(privileges('again'), $privileges, 'the privileges are the same');

# The whole cluster
runs_quietly('pg_dumpall', 'pg_dumpall', '-f', "$dir/all.sql");

# No connection is in a dump, and nothing that waits for a webhook.
isnt($node->safe_psql('app', 'SELECT count(*) FROM presence.webhook_event'), '0', 'something waits');
unlike(slurp_file("$dir/plain.sql"), qr/COPY presence\.webhook_(?:event|channel) /, 'for this server to tell');
unlike(slurp_file("$dir/plain.sql"), qr/COPY presence\.connection /, 'connections are in no dump');

# presence.stats of the original
is(contents('app'), $contents, 'dumps change nothing');
$session->quit;
$node->stop('fast');
nothing_crashed($node);
done_testing();
