# Every version that is there, updated to the newest, is what the newest is when
# it is installed; and a new library under a running server disturbs nobody.
use strict;
use warnings FATAL => 'all';

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('upgrade');
my $newest = $node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'presence'");
my @versions = split /\n/, $node->safe_psql('postgres',
	"SELECT version FROM pg_available_extension_versions WHERE name = 'presence' ORDER BY 1");

# All that makes up the extension, one line an object
my $shape = q{
	SELECT 'function', p.oid::regprocedure::text, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid),
		p.prosrc, p.probin, p.provolatile, p.proparallel, p.proisstrict, p.prorows, p.procost, p.proconfig,
		r.rolname, p.proacl::text, obj_description(p.oid, 'pg_proc')
	FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
	WHERE p.pronamespace = 'presence'::regnamespace ORDER BY 2;
	SELECT 'relation', c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.reloptions, r.rolname, c.relacl::text,
		obj_description(c.oid, 'pg_class'), CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) WHEN 'i' THEN pg_get_indexdef(c.oid) END
	FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
	WHERE c.relnamespace = 'presence'::regnamespace ORDER BY 2;
	SELECT 'column', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
		a.attcollation::regcollation, a.attacl::text, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
	FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
	WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
	ORDER BY c.relname, a.attname;
	SELECT 'behind a column', a.attrelid::regclass, a.attname, a.attstattarget, a.attcompression, a.attgenerated
	FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'presence'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attname;
	SELECT 'behind a function', p.oid::regprocedure::text, p.prosecdef, p.proleakproof, p.prokind, p.prosupport, l.lanname
	FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang WHERE p.pronamespace = 'presence'::regnamespace ORDER BY 2;
	SELECT 'index', i.indexrelid::regclass, i.indisunique, i.indisprimary, i.indisclustered, i.indisreplident, i.indisvalid, i.indisready
	FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE c.relnamespace = 'presence'::regnamespace ORDER BY c.relname;
	SELECT 'sequence', s.seqrelid::regclass, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle
	FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid WHERE c.relnamespace = 'presence'::regnamespace ORDER BY c.relname;
	SELECT 'schema', n.nspname, n.nspowner::regrole, n.nspacl::text FROM pg_namespace AS n WHERE n.nspname = 'presence';
	SELECT 'extension', e.extowner::regrole, e.extnamespace::regnamespace, e.extrelocatable FROM pg_extension AS e WHERE e.extname = 'presence';
	SELECT 'as dumped from', pg_describe_object(i.classoid, i.objoid, i.objsubid), i.privtype, i.initprivs::text
	FROM pg_init_privs AS i JOIN pg_depend AS d ON d.classid = i.classoid AND d.objid = i.objoid AND d.deptype = 'e'
		JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'presence' ORDER BY 2;
	SELECT 'policy', p.polname, p.polrelid::regclass FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid WHERE c.relnamespace = 'presence'::regnamespace ORDER BY 2;
	SELECT 'rule', r.rulename, r.ev_class::regclass, r.ev_enabled FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class WHERE c.relnamespace = 'presence'::regnamespace ORDER BY 3, 2;
	SELECT 'constraint', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)
	FROM pg_constraint AS c WHERE c.connamespace = 'presence'::regnamespace ORDER BY 2, 3;
	SELECT 'trigger', pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
	WHERE c.relnamespace = 'presence'::regnamespace ORDER BY 2;
	SELECT 'dumped', t.relid::regclass, t.condition FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS t(relid, condition)
	WHERE e.extname = 'presence' ORDER BY 2;
	SELECT 'type', t.typname FROM pg_type AS t WHERE t.typnamespace = 'presence'::regnamespace ORDER BY 2;
	SELECT 'member', pg_describe_object(d.classid, d.objid, 0) FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'presence' ORDER BY 2;
};
my $fresh = $node->safe_psql('postgres', $shape);
like($fresh, qr/^function\|presence\.join_room/m, 'there is something to compare');

ok(scalar(grep { $_ eq $newest } @versions), "the default version, $newest, is there");
for my $version (@versions)
{
	my $dbname = "from_$version";

	$node->safe_psql('postgres', qq(CREATE DATABASE "$dbname"));
	$node->safe_psql($dbname, "CREATE EXTENSION presence VERSION '$version'");
	my $session = session($node, $dbname);
	$session->query(q{
		INSERT INTO presence.pusher_app VALUES ('1', 'a-key', 'a-secret');
		SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Ann"}', true, '1 h');
		SELECT presence.join_room('ben', 'b', ttl => '1 h');
		SELECT presence.leave_room('ben', 'b');
	});
	my $rows = "SELECT id, user_id, book_id, joined_at, left_at, leave_reason, is_author, user_info FROM presence.room_presence ORDER BY id";
	my $before = $session->query($rows);

	$session->query('ALTER EXTENSION presence UPDATE');
	if ($version eq $newest)
	{
		like($session->{error}, qr/NOTICE:  version "\Q$version\E" of extension "presence" is already installed/,
			"$version: nothing to do");
	}
	else
	{
		is($session->{error}, '', "$version: an update");
	}
	is($session->query("SELECT extversion FROM pg_extension WHERE extname = 'presence'"), $newest, "$version: now $newest");
	is($node->safe_psql($dbname, $shape), $fresh, "$version: it is what $newest is");
	is($session->query($rows), $before, "$version: the presences are as before");

	# in the session that used the old version, and in a new one
	for my $one ($session, session($node, $dbname))
	{
		is($one->query(q{
			SELECT added FROM presence.join_room('ann', 'b', 'tab-1');
			SELECT user_info FROM presence.room_members('b') WHERE user_id = 'ann';
			SELECT presence.pusher_auth_signature('1.2', 'private-x') LIKE 'a-key:%';
			SELECT added FROM presence.join_room('cy', 'b', ttl => '1 min');
			SELECT presence.leave_room('cy', 'b');
		}), qq(f\n{"name": "Ann"}\nt\nt\nt), "$version: and works");
		$one->quit;
	}
	$node->safe_psql($dbname, "SELECT presence.join_room('dee', 'c', ttl => '1 s')");
	ok($node->poll_query_until($dbname, "SELECT leave_reason = 'timeout' FROM presence.room_presence WHERE user_id = 'dee'"),
		"$version: with a worker");
}

# Who had been given something has what a new installation gives for it.
my $privileges = q{
	SELECT r.rolname, p.oid::regprocedure::text FROM pg_proc AS p, pg_roles AS r
	WHERE p.pronamespace = 'presence'::regnamespace AND r.rolname IN ('web', 'gateway', 'monitor', 'nobody') AND has_function_privilege(r.oid, p.oid, 'EXECUTE') ORDER BY 1, 2;
	SELECT r.rolname, c.relname FROM pg_class AS c, pg_roles AS r
	WHERE c.relnamespace = 'presence'::regnamespace AND c.relkind IN ('r', 'v') AND r.rolname IN ('web', 'gateway', 'monitor', 'nobody')
		AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 1, 2;
};
my %given;
$node->safe_psql('postgres', 'CREATE ROLE web; CREATE ROLE gateway; CREATE ROLE monitor; CREATE ROLE nobody');
for my $version ($newest, grep { $_ ne $newest } @versions)
{
	my $dbname = "granted_$version";

	$node->safe_psql('postgres', qq(CREATE DATABASE "$dbname"));
	$node->safe_psql($dbname, "CREATE EXTENSION presence VERSION '$version'");
	if ($version eq $newest)
	{
		$node->safe_psql($dbname, "SELECT presence.grant_app('web'), presence.grant_gateway('gateway'), presence.grant_monitor('monitor')");
	}
	else
	{
		# what the old ones gave: the same, of what there was
		my %there = map { $_ => 1 } split /\n/, $node->safe_psql($dbname, q{
			SELECT proname FROM pg_proc WHERE pronamespace = 'presence'::regnamespace
			UNION ALL SELECT relname FROM pg_class WHERE relnamespace = 'presence'::regnamespace AND relkind = 'v'});
		my $grants = '';
		for my $line (split /\n/, $given{$newest})
		{
			my ($role, $name) = $line =~ /^(\w+)\|(?:presence\.)?"?(\w+)/;
			$grants .= 'GRANT ' . ($line =~ /\(/ ? 'EXECUTE ON FUNCTION' : 'SELECT ON') . qq( presence."$name" TO $role;) if $there{$name};
		}
		$node->safe_psql($dbname, $grants);
		$node->safe_psql($dbname, 'ALTER EXTENSION presence UPDATE');
	}
	$given{$version} = $node->safe_psql($dbname, $privileges);
}
like($given{$newest}, qr/^monitor\|presence\."check"/m, 'there are privileges to compare');
unlike($given{$newest}, qr/^nobody/m, 'and none for others');
is($given{$_}, $given{$newest}, "$_: who had been given something has it, and what is new") for grep { $_ ne $newest } @versions;

# A new library: those who have the old one keep it, others get the new one.
my $library = $node->config_data('--pkglibdir') . '/presence.so';
SKIP:
{
	skip "$library is not ours to replace", 8 unless -w $library && -w $node->config_data('--pkglibdir');
	my $plain = presence_node('upgrade_plain', plain => 1);

	for my $server ($node, $plain)
	{
		my $old = session($server, 'postgres');
		is($old->query("SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')"), 't', 'a session with the old library');
		copy($library, "$library.new") or die $!;
		chmod 0755, "$library.new" or die $!;
		rename "$library.new", $library or die $!;
		is($server->safe_psql('postgres', "SELECT added FROM presence.join_room('ann', 'b', 'tab-2', ttl => '1 h')"), 'f', 'a new session');
		is($old->query("SELECT presence.leave_room('ann', 'b')"), 't', 'the old one goes on');
		$old->quit;
	}
	my $worker = wait_for_worker($node, 'postgres');
	$node->safe_psql('template1', "SELECT pg_terminate_backend($worker)");
	isnt(wait_for_worker($node, 'postgres', $worker), $worker, 'a new worker');
	$plain->stop('fast');
	nothing_crashed($plain);
}

$node->stop('fast');
nothing_crashed($node);
done_testing();
