# The owner of the extension need not be trusted by those who call it: what his triggers do
# stays his own, in sessions of superusers and in the worker. Owners follow each other.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('privileges', bare => 1, conf => 'max_prepared_transactions = 2');
$node->safe_psql('postgres', q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE web LOGIN;
	CREATE DATABASE app OWNER alice;
});
$node->safe_psql('app', 'GRANT CREATE ON DATABASE app TO bob');

my $alice = session($node, 'app', user => 'alice');
is($alice->refused('CREATE EXTENSION presence'), '', 'alice creates the extension');
is($alice->refused("SELECT presence.grant_app('web')"), '', 'and grants');

# A trigger that reaches for whatever it can
is($alice->refused(q{
	CREATE SCHEMA evil;
	CREATE TABLE evil.seen (who text, login text, op text, user_id text);
	CREATE FUNCTION evil.reach() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_catalog.set_config('search_path', 'evil', false),
			pg_catalog.set_config('statement_timeout', '12345', false),
			pg_catalog.set_config('application_name', 'evil', false),
			pg_catalog.set_config('evil.mine', 'set', false),
			pg_catalog.set_config('lock_timeout', '54321', true),
			pg_catalog.set_config('default_transaction_read_only', 'on', false),
			pg_catalog.set_config('plpgsql.check_asserts', 'off', false);
		BEGIN
			SET ROLE NONE;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
		BEGIN
			RESET SESSION AUTHORIZATION;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
		BEGIN
			CREATE TEMP TABLE pg_temp_left (i int);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
		INSERT INTO evil.seen VALUES (current_user, session_user, TG_OP, COALESCE(NEW.user_id, OLD.user_id));
		RETURN COALESCE(NEW, OLD);
	END
	$$;
	CREATE TRIGGER reach BEFORE INSERT OR UPDATE OR DELETE ON presence.room_presence
		FOR EACH ROW EXECUTE FUNCTION evil.reach();
}), '', 'alice has a trigger');

my $show = q{
	SELECT name, setting, source FROM pg_settings WHERE name IN ('search_path', 'statement_timeout', 'application_name',
		'lock_timeout', 'default_transaction_read_only', 'role', 'session_authorization', 'plpgsql.check_asserts') ORDER BY 1;
	SELECT current_user, session_user, coalesce(current_setting('evil.mine', true), ''), count(*) FROM pg_class WHERE oid = to_regclass('pg_temp.pg_temp_left');
};
my %calls = (
	join_room => "presence.join_room('ann', 'b', ttl => '1 h')",
	rename => "presence.join_room('ann', 'b', user_info => '{\"name\": \"Ann\"}')",
	leave_room => "presence.leave_room('ann', 'b')",
	join_rooms => "count(*) FROM presence.join_rooms('{ann,ben}', '{c,c}', NULL, NULL, '1 h')",
	drop_connections => "presence.drop_connections(ARRAY[(SELECT connection FROM presence.join_room('ben', 'c'))])",
	forget_user => "presence.forget_user('ann')",
	forget_book => "presence.forget_book('c')",
	purge_history => "presence.purge_history('0')",
	sweep => 'presence.sweep(now() + interval \'2 h\')');

# A superuser calls: his session stays as it is, at once, at the end of the transaction, when it is undone.
my $super = session($node, 'app');
$super->query("DO 'BEGIN END'");
my $before = $super->query($show);
for my $name (qw(join_room rename leave_room join_rooms drop_connections forget_user forget_book purge_history sweep))
{
	is($super->refused("SELECT $calls{$name}"), '', "a superuser calls $name");
	is($super->query($show), $before, "$name leaves no trace");
	is($super->query("BEGIN; SELECT 1 FROM (SELECT $calls{$name}) AS c LIMIT 0; $show; ROLLBACK"), $before, "$name leaves none in a transaction");
	is($super->query($show), $before, "$name leaves none after its rollback");
}
my $web = session($node, 'app', user => 'web');
$web->query("DO 'BEGIN END'");
$before = $web->query($show);
$before =~ s/\|\d+\z//;
is($web->query("SELECT added FROM presence.join_room('ann', 'web', ttl => '1 s')"), 't', 'the app calls');
is($web->query($show) =~ s/\|\d+\z//r, $before, 'and keeps its settings');

# What the caller has set for his transaction is still set then.
is($super->query(q{BEGIN; SET LOCAL search_path = mine; SET LOCAL statement_timeout = 777;
	SELECT count(presence.join_room('cy', 'local', ttl => '1 h'));
	SELECT current_setting('search_path'), current_setting('statement_timeout'); COMMIT}), "1\nmine|777ms", 'SET LOCAL outlives a call');

# The worker acts as the owner.
wait_for_closed($node, 'app', 'web', 1);
is($super->query("SELECT DISTINCT who FROM evil.seen"), 'alice', 'all of it ran as alice, the worker as well');
is($super->query("SELECT count(*) > 0 FROM evil.seen WHERE op = 'UPDATE' AND user_id = 'ann'"), 't', 'which has been seen');
$web->query("SELECT presence.join_room('ann', 'later', ttl => '1 s')");
wait_for_closed($node, 'app', 'later', 1);
pass('and goes on after a read-only default of the trigger');

# A deferred trigger fires for the worker as for anybody, as alice; one that raises holds one presence.
is($alice->refused(q{
	CREATE FUNCTION evil.late() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NEW.user_id = 'bad' THEN
			RAISE EXCEPTION 'late, and no';
		END IF;
		INSERT INTO evil.seen VALUES (current_user, session_user, 'LATE', NEW.user_id);
		RETURN NULL;
	END
	$$;
	CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON presence.room_presence DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION evil.late();
}), '', 'alice has a deferred trigger');
my $worker = wait_for_worker($node, 'app');
$web->query("SELECT presence.join_room(u, 'deferred', ttl => '1 s') FROM unnest('{ann,bad,ben,cy}'::text[]) AS u");
wait_for_closed($node, 'app', 'deferred', 3);
is($super->query("SELECT user_id FROM presence.room_presence WHERE book_id = 'deferred' AND left_at IS NULL"), 'bad', 'all have left but the one for whom it raises');
is($super->query("SELECT string_agg(who || ' ' || user_id, ', ' ORDER BY user_id) FROM evil.seen WHERE op = 'LATE'"), 'alice ann, alice ben, alice cy', 'it fired as alice');
like(slurp_file($node->logfile), qr/WARNING:  could not end the presence of user "bad" in room "deferred"\n.*DETAIL:  late, and no/, 'a warning tells of him');
same_worker($node, 'app', $worker);
like($super->refused("SELECT presence.leave_room('bad', 'deferred')"), qr/^cannot fire deferred trigger within security-restricted operation/, 'a superuser is refused');
is($super->refused("BEGIN; SET CONSTRAINTS ALL IMMEDIATE; SELECT presence.leave_room('bad', 'deferred')"), 'late, and no', 'unless he fires it at once');
$super->query('ROLLBACK');
is($alice->refused("DROP TRIGGER late ON presence.room_presence; SELECT presence.leave_room('bad', 'deferred')"), '', 'without it he leaves');

# CREATE, DROP and CREATE again, by another owner
is($alice->refused('DROP EXTENSION presence'), '', 'alice drops the extension');
my $bob = session($node, 'app', user => 'bob');
for my $round (1 .. 2)
{
	my ($session, $name) = $round == 1 ? ($bob, 'bob') : ($super, 'a superuser');

	is($session->refused('CREATE EXTENSION presence'), '', "$name creates it");
	is($session->refused("SELECT presence.grant_app('web')"), '', "$name grants");
	is($session->query("SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')"), 't', "$name joins");
	is($web->query("SELECT added FROM presence.join_room('ben', 'b', ttl => '1 s')"), 't', 'so does the app');
	wait_for_closed($node, 'app', 'b', 1);
	is($session->query("SELECT count(*) FROM presence.online"), '1', "$name reads");
	is($web->refused('SELECT * FROM presence.room_presence'), 'permission denied for table room_presence', 'the app does not');
	is($session->refused('DROP EXTENSION presence'), '', "$name drops it");
}

# After pg_upgrade the extension belongs to a superuser while its tables keep their owner.
$alice->query("CREATE EXTENSION presence VERSION '0.2'");
is($alice->{error} =~ s/NOTICE.*\n//gr, '', 'alice has version 0.2');
$alice->query("SELECT presence.join_room('ann', 'b', ttl => '1 h')");
$super->query("UPDATE pg_extension SET extowner = 10 WHERE extname = 'presence'");
isnt($alice->refused('ALTER EXTENSION presence UPDATE'), '', 'alice may not update what is the superuser\'s');
is($super->refused('ALTER EXTENSION presence UPDATE'), '', 'a superuser may');
is($super->query(q{
	SELECT DISTINCT r.rolname FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'presence'
		JOIN (SELECT 'pg_class'::regclass, oid, relowner FROM pg_class UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc) AS o (class, oid, owner)
			ON o.class = d.classid AND o.oid = d.objid
		JOIN pg_roles AS r ON r.oid = o.owner
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
}), 'alice', 'all tables, views and functions are alice\'s');
is($alice->refused("SELECT presence.grant_app('web')"), '', 'who grants');
is($web->query("SELECT added FROM presence.join_room('ben', 'b', ttl => '1 s')"), 't', 'the app joins');
wait_until('ben to go', sub { $super->query("SELECT count(*) FROM presence.room_presence WHERE user_id = 'ben' AND left_at IS NOT NULL") eq '1' });
pass('and goes');

$_->quit for $alice, $bob, $super, $web;
$node->stop;
nothing_crashed($node);
done_testing();
