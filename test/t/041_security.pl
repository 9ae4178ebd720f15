# What strangers of a database try, and what a secret must not come into: see docs/security.md.
use strict;
use warnings FATAL => 'all';

use File::Find;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('security', bare => 1, conf => "max_worker_processes = 20\nlog_error_verbosity = verbose");
my $root = $INC{'PresenceTest.pm'} =~ s{test/perl/[^/]*\z}{}r;
my $secret = 'secret-of-the-app';
my $master_key = 'c2VjcmV0IG9mIHRoZSBhcHAsIDMyIGJ5dGVzIGxvbmc='; # 32 bytes
my $app_file = PostgreSQL::Test::Utils::tempdir() . '/app.csv';
append_to_file($app_file, "1,a-key,$secret,$master_key\n");

$node->safe_psql('postgres', q{
	CREATE ROLE alice LOGIN CREATEDB;
	CREATE ROLE eve LOGIN; CREATE ROLE web LOGIN; CREATE ROLE gateway LOGIN; CREATE ROLE monitor LOGIN;
	CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader;
	CREATE DATABASE app OWNER alice;
});

# What eve puts in the way: functions and operators that raise, which fit better than PostgreSQL's own, and tables.
sub traps
{
	my ($schema) = @_;
	my $raise = "LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil''; END'";
	my @traps = map { "CREATE FUNCTION $schema.$_ $raise" } (
		'no(text, text) RETURNS boolean', 'no(bigint, bigint) RETURNS boolean', 'no(timestamptz, timestamptz) RETURNS boolean',
		'no(name, text) RETURNS boolean', 'no(name, name) RETURNS boolean', 'no(oid, oid) RETURNS boolean',
		'count() RETURNS bigint', 'now() RETURNS timestamptz', 'clock_timestamp() RETURNS timestamptz',
		'unnest(text[]) RETURNS SETOF text', 'max(bigint) RETURNS bigint', 'concat(text, text) RETURNS text',
		'format(text, text, text) RETURNS text', 'quote_ident(name) RETURNS text', 'pg_get_userbyid(oid) RETURNS name',
		'jsonb_build_object(text, text) RETURNS jsonb', 'nextval(text) RETURNS bigint');

	for my $type ('text, text', 'bigint, bigint', 'timestamptz, timestamptz', 'name, text', 'name, name', 'oid, oid')
	{
		my ($left, $right) = split /, /, $type;
		push @traps, map { "CREATE OPERATOR $schema.$_ (FUNCTION = $schema.no, LEFTARG = $left, RIGHTARG = $right)" } qw(= <> < > <= >=);
	}
	return join '; ', @traps;
}

# The schema is eve's, and full of traps, before the extension is made.
$node->safe_psql('app', 'GRANT CREATE ON DATABASE app TO eve; GRANT CREATE ON SCHEMA public TO eve');
my $eve = session($node, 'app', user => 'eve');
is($eve->refused('CREATE SCHEMA presence; ' . traps('presence')), '', 'eve makes a schema "presence", with traps');
my $alice = session($node, 'app', user => 'alice');
is($alice->refused('CREATE EXTENSION presence'), '', 'alice creates the extension');
is($alice->query("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'presence'"), 'alice', 'the schema is hers');
is(sqlstate($node, 'app', $_, user => 'eve'), '42501', "eve can't: $_") for (
	'DROP TABLE presence.room_presence', 'DROP SCHEMA presence CASCADE', 'CREATE TABLE presence.mine ()',
	'ALTER FUNCTION presence.join_room RENAME TO old_join_room', "SELECT presence.join_room('eve', 'b')");
is($alice->query(q{
	SELECT count(*) FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
	WHERE d.deptype = 'e' AND d.classid = 'pg_proc'::regclass AND p.pronamespace = 'presence'::regnamespace AND (p.prosecdef OR has_function_privilege('eve', p.oid, 'EXECUTE'))}),
	'0', 'no function runs as its owner by itself, and none is eve\'s to call');
is($alice->refused("SELECT presence.grant_app('web'), presence.grant_gateway('gateway'), presence.grant_monitor('monitor')"), '', 'alice grants');

# Traps in public, and in the session's own temporary schema, with a path that leads there first
my $super = session($node, 'app');
is($eve->refused(traps('public')), '', 'eve has traps in public');
for ([ $super, 'a superuser' ], [ session($node, 'app', user => 'web'), 'the app' ], [ session($node, 'app', user => 'gateway'), 'a gateway' ])
{
	my ($session, $name) = @$_;

	is($session->refused(q{
		CREATE TEMP TABLE room_presence (LIKE pg_catalog.pg_class); CREATE TEMP TABLE connection (id int);
		CREATE TEMP TABLE pusher_app (secret text); CREATE TEMP TABLE event_secret (key bytea);
		SET search_path = pg_temp, public, presence, pg_catalog}), '', "$name walks into the traps");
	is($session->query(q{
		SELECT added FROM presence.join_room('ann', 'traps', 't1', '{"a": 1}'::pg_catalog.jsonb, true);
		SELECT added FROM presence.join_room('ann', 'traps', 't2');
		SELECT presence.touch_room('ann', 'traps', 't1'), presence.member_count('traps');
		SELECT joined FROM presence.poll_room('ann', 'traps', 't1');
		SELECT user_id, connections FROM presence.room_members('traps');
		SELECT book_id FROM presence.user_rooms('ann');
		SELECT user_id FROM presence.members_at('traps', 'infinity');
		SELECT online FROM presence.last_seen('{ann}');
		SELECT stays FROM presence.average_stay('traps');
		SELECT presence.leave_room('ann', 'traps', 't1'), presence.leave_room('ann', 'traps');
		SELECT presence.forget_user('ann');
	}), "t\nf\nt|1\nt\nann|2\ntraps\nann\nt\n0\nf|t\n1", "$name is not caught");
	is($session->{error}, '', 'without a word');
}
is($super->refused('SELECT severity FROM presence.check() WHERE severity OPERATOR(pg_catalog.=) \'error\''), '', 'nor is check()');
$super->query(q{SELECT presence.join_room('ann', 'worker', ttl => '1 s')});
wait_until('the worker', sub { $super->query("SELECT pg_catalog.count(*) FROM presence.room_presence WHERE left_at IS NOT NULL AND book_id OPERATOR(pg_catalog.=) 'worker'") eq '1' });
pass('nor the worker');
$super->query('GRANT USAGE ON SCHEMA presence TO eve');
is($eve->refused("CREATE TEMP TABLE book (slug text); CREATE TRIGGER forget AFTER DELETE ON book FOR EACH ROW EXECUTE FUNCTION presence.on_delete_forget('book', 'slug')"),
	'permission denied for function presence.on_delete_forget', 'eve forgets nobody by a table of hers');
$super->query("RESET search_path");
$eve->quit;

# Default privileges, which hand out all that is made
is($alice->refused('CREATE DATABASE generous'), '', 'another database of alice\'s');
my $generous = session($node, 'generous', user => 'alice');
for my $who ('alice', 'postgres')
{
	$node->safe_psql('generous', "ALTER DEFAULT PRIVILEGES FOR ROLE $who GRANT ALL ON $_ TO PUBLIC") for qw(TABLES FUNCTIONS SEQUENCES);
}
is($generous->refused('CREATE EXTENSION presence'), '', 'where all is everybody\'s');
is($generous->query("SELECT has_table_privilege('eve', 'presence.room_presence', 'SELECT')"), 't', 'the tables as well');
$generous->query("\\copy presence.pusher_app (app_id, key, secret, encryption_master_key) FROM '$app_file' WITH (FORMAT csv)");
$generous->query('SELECT presence.event_key(); GRANT USAGE ON SCHEMA presence TO PUBLIC');
is(sqlstate($node, 'generous', $_, user => 'eve'), '42501', "and yet: $_")
  for ("SELECT presence.join_room('eve', 'b')", 'SELECT * FROM presence.pusher_apps()', 'SELECT presence.event_key()');
my $stranger = session($node, 'generous', user => 'eve');
is($stranger->query("SELECT count(*) FROM presence.$_"), '0', "eve sees no row of $_") for qw(pusher_app event_secret channel_cache);
is(sqlstate($node, 'generous', "INSERT INTO presence.pusher_app VALUES ('2', 'mine', 'mine')", user => 'eve'), '42501', 'and makes no app');
is($stranger->query("WITH u AS (UPDATE presence.pusher_app SET secret = 'mine' RETURNING 1), d AS (DELETE FROM presence.event_secret RETURNING 1) SELECT (SELECT count(*) FROM u) + (SELECT count(*) FROM d)"),
	'0', 'nor changes a secret');
$_->quit for $stranger, $generous;

# Logs, which have each statement, its time, its plan, its errors
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'auto_explain'
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_verbose = on
auto_explain.log_analyze = on
log_statement = all
log_min_duration_statement = 0
log_parameter_max_length_on_error = -1
log_min_messages = debug1
log_min_error_statement = debug1
});
$node->reload;
$_->quit for $alice, $super;
$super = session($node, 'app');
$super->query('SET log_error_verbosity = terse');
$super->query("\\copy presence.pusher_app (app_id, key, secret, encryption_master_key) FROM '$app_file' WITH (FORMAT csv)");
is($super->{error}, '', 'an app, by \copy');
my @secrets = ($secret, $master_key);
$super->query("\\copy presence.pusher_app (app_id, key, secret, encryption_master_key) FROM '$app_file' WITH (FORMAT csv)");
like($super->{error}, qr/duplicate key/, 'once more');
for my $line ("1,,$secret,", ",b-key,$secret,", "1,b-key,$secret,$secret", "1,b-key,$secret,$master_key,$secret", "1,b-key,\"$secret")
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/bad.csv';
	unlink $file;
	append_to_file($file, "$line\n");
	$super->query("\\copy presence.pusher_app (app_id, key, secret, encryption_master_key) FROM '$file' WITH (FORMAT csv)");
	my ($primary) = $super->{error} =~ /ERROR:  (.*)/;
	isnt($primary, undef, "a line that is refused: $primary");
	unlike($super->{error} =~ s/^CONTEXT:.*//mgr, qr/$secret|\Q$master_key\E/, 'the error has no secret');
}
my $gateway = session($node, 'app', user => 'gateway');
my $body = '{"time_ms":1,"events":[]}';
for my $call (
	"presence.pusher_auth_signature('1.2', 'private-x')", "presence.pusher_authorize_channel('ann', '1.2', 'presence-room-b')",
	"presence.pusher_authorize_channel('ann', '1.2', 'private-encrypted-user-ann')", "presence.pusher_shared_secret('private-encrypted-x')",
	"presence.pusher_authenticate_user('ann', '1.2')", "presence.pusher_sign_request('POST', '/apps/1/events', '{}')",
	"presence.pusher_verify_webhook('a-key', repeat('0', 64), '$body')", "presence.pusher_apply_webhook('a-key', repeat('0', 64), '$body')",
	"presence.pusher_auth_signature('wrong', 'x')", "presence.pusher_auth_signature('1.2', 'x', 'no-such-key')",
	"count(*) FROM presence.pusher_apps()", "length(presence.event_key())", "presence.join_room('ann', 'b')", "presence.leave_room('ann', 'b')",
	"presence.cache_events('{1}', '{cache-x}', '{\"{\\\\\"event\\\\\":\\\\\"e\\\\\"}\"}')")
{
	$gateway->query("SELECT $call");
	unlike($gateway->{error}, qr/$secret|\Q$master_key\E/, $call);
}
push @secrets, $gateway->query("SELECT encode(presence.event_key(), 'hex')"), $gateway->query("SELECT encode(presence.event_key(), 'base64')"),
  $gateway->query("SELECT presence.pusher_shared_secret('private-encrypted-x')");
is(scalar(grep { length($_) >= 17 } @secrets), 5, 'there are secrets to look for');
$super->query("UPDATE presence.pusher_app SET client_events = false; UPDATE presence.pusher_app SET app_id = ''");
$_->quit for $super, $gateway;
wait_until('the log', sub { slurp_file($node->logfile) =~ /SET app_id = ''/ });
my $log = slurp_file($node->logfile);
like($log, qr/pusher_auth_signature.*duration:.*Query Text/s, 'the log has statements, times and plans');
is(scalar(grep { index($log, $_) >= 0 } @secrets), 0, 'and no secret')
  or diag(join "\n", grep { my $line = $_; grep { index($line, $_) >= 0 } @secrets } split /\n/, $log);

# Dumps: the app's secret is in there, as the docs say; nothing else. Who must not have it gets no dump.
sub dump_of
{
	my (@options) = @_;
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port);
	return run_command([ 'pg_dump', @options, 'app' ]);
}
$node->safe_psql('app', "SELECT presence.cache_events('{1}', '{cache-x}', '{what-was-cached}'); SELECT presence.join_room('ann', 'b', 'name-of-a-tab', ttl => '1 h')");
my ($dump, $complaint) = dump_of('-U', 'alice');
is($complaint, '', 'the owner dumps the database');
like($dump, qr/\Q$secret\E/, 'the owner\'s dump has the secret of the app');
unlike($dump, qr/\Q$secrets[2]\E|what-was-cached|name-of-a-tab/, 'but no key of events, no cached event, no connection');
like((dump_of('-U', 'reader'))[1], qr/query would be affected by row-level security policy for table "pusher_app"/, 'who reads all data gets none');
my ($without, $error) = dump_of('-U', 'reader', '--exclude-table-data=presence.pusher_app', '--exclude-table-data=presence.event_secret', '--exclude-table-data=presence.channel_cache');
is($error, '', 'unless without the apps');
unlike($without, qr/\Q$secret\E/, 'and the secret');

# Signatures and macs are compared in a time that does not tell where they differ.
my %compared;
find({ no_chdir => 1, wanted => sub {
	return unless /\.c\z/;
	my $source = slurp_file($_) =~ s{/\*.*?\*/}{}gsr;
	my $file = substr $_, length $root;
	$compared{$file} .= $_ for grep { !/",\\"mac\\"/ && /\b(?:hex|expected|computed|mac|hmac|digest|signature|secret)\b/ && !/\bOPENSSL_|->secret, secret\)/ }
	  $source =~ /\b(?:str(?:n?case)?n?cmp|memcmp|bcmp|bytes_equal|streq)\s*\([^;{]*/g;
} }, map { "$root$_" } qw(src gateway/src));
is_deeply(\%compared, {}, 'no signature is compared by memcmp or strcmp');
like(slurp_file("${root}src/signature.c"), qr/signature_equal\([^{]*\{[^}]*CRYPTO_memcmp\(computed, received\.data/, 'but by CRYPTO_memcmp');

$node->stop;
nothing_crashed($node);
done_testing();
