# Every function of the schema, as the catalogue has it, with any arguments: no crash, no internal
# error, no leak, and no trace of what failed or was rolled back. In UTF-8 and in SQL_ASCII, by a superuser and
# by a role with grant_app.
#
# CALLS (20000) is how many, SEED (1) what comes: the same calls each time. FUNCTIONS, a regular expression, says which.
use strict;
use warnings FATAL => 'all';

use List::Util qw(sum);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceFuzz;
use PresenceTest;

my $calls = $ENV{CALLS} || 20000;
my $seed = $ENV{SEED} || 1;
my $which = $ENV{FUNCTIONS} // '';
my $batch = 100;
my $node = presence_node('fuzz', bare => 1, conf => "presence.timeout = '1 d'\nlog_min_messages = error\nlog_min_error_statement = panic");
diag("SEED=$seed CALLS=$calls");
srand($seed);

# All that the tables have, but for heartbeats, which no rollback takes back. Worded for psql's \gset.
my $trace = q{SELECT md5(concat(
	(SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM presence.room_presence AS t),
	(SELECT string_agg(row(book_id, user_id, connection_id, id, presence_id, ttl, stand_in)::text, ' ' ORDER BY id) FROM presence.connections),
	(SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM presence.channel_cache AS t),
	(SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM presence.gateway AS t),
	(SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM presence.gateway_channel AS t),
	(SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM presence.webhook_event AS t),
	(SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM presence.webhook_channel AS t),
	(SELECT string_agg(proacl::text, ' ' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'presence'::regnamespace))) AS trace};

sub functions
{
	my ($dbname) = @_;
	my $found = $node->safe_psql($dbname, q{
		SELECT format('%I.%I', n.nspname, p.proname), p.pronargdefaults,
			(SELECT string_agg(format_type(t, NULL), ';' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, i)),
			array_to_string(p.proargnames, ';')
		FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE n.nspname = 'presence' AND p.prorettype <> 'trigger'::regtype ORDER BY p.oid::regprocedure::text COLLATE "C"});
	return map {
		my ($name, $defaults, $types, $names) = split /\|/;
		{ name => $name, defaults => $defaults, types => [ split /;/, $types // '' ], names => [ split /;/, $names // '' ] }
	} grep { /^[^|]*$which/ } split /\n/, $found;
}

# A call by itself; in a transaction that is rolled back; in a savepoint that is.
sub statements
{
	my ($call) = @_;
	my $select = "SELECT * FROM $call";
	my $kind = int(rand(4));
	return ($kind, "BEGIN;\n$select;\nROLLBACK;\n") if $kind == 0;
	return ($kind, "BEGIN;\nSELECT presence.member_count('b');\nSAVEPOINT s;\n$select;\nROLLBACK TO s;\nCOMMIT;\n") if $kind == 1;
	return ($kind, "$select;\n");
}

my %states;

# What must be of a batch: its errors have an SQLSTATE, which is no internal one.
sub judge
{
	my ($session, $script) = @_;
	my @bad;

	for my $line (split /\n/, $session->{error})
	{
		next if $line =~ /^(?:psql:.*?: )?(?:WARNING|NOTICE): /;
		my ($state) = $line =~ /(?:ERROR|FATAL):  (\w{5})$/;
		$states{$state}++ if $state;
		push @bad, $line if !$state || $state =~ /^(?:XX|57|58)/;
	}
	return 1 unless @bad;
	diag("$_") for @bad[ 0 .. ($#bad > 4 ? 4 : $#bad) ];
	append_to_file(PostgreSQL::Test::Utils::tempdir() . '/bad.sql', $script);
	diag(substr($script, 0, 20000));
	return 0;
}

# What a backend's contexts use. Plans that are made with their first use are a part of it. PostgreSQL keeps each
# time zone that a timestamp was read with, and there are more than a thousand: they are left out.
sub contexts
{
	my ($session) = @_;
	my $found = $session->query("\\o\nSELECT translate(left(name || ' ' || coalesce(left(ident, 60), ''), 90), E'\\n', ' '), sum(used_bytes) FROM pg_backend_memory_contexts WHERE name <> 'Timezones' GROUP BY 1");
	return { map { /^(.*)\|(\d+)$/ ? ($1 => $2) : () } split /\n/, $found };
}

sub memory { return sum(values %{ $_[0] }); }

# Which of them, for who wants to know what grows.
sub grown
{
	my ($before, $after) = @_;
	my %by = map { $_ => $after->{$_} - ($before->{$_} // 0) } keys %$after;
	my @most = sort { $by{$b} <=> $by{$a} } keys %by;
	return join "\n", map { "$by{$_} bytes more: $_" } @most[ 0 .. ($#most > 7 ? 7 : $#most) ];
}

# So many calls in a database, as a role; one test for each promise.
sub fuzz
{
	my ($dbname, $encoding, $user, $n) = @_;
	my $session = session($node, $dbname, user => $user);
	my $watcher = session($node, $dbname);
	my @functions = functions($dbname);
	my $name = "$encoding, $user";
	my ($fine, $traces, $warm) = (1, 0);

	$session->query("\\set VERBOSITY sqlstate\nSET client_min_messages = error; SET statement_timeout = '60 s'");
	fuzz_types($encoding, [ split /\n/, $watcher->query('SELECT id FROM presence.connections LIMIT 20') ]);
	for (my $done = 0; $done < $n && $fine; $done += $batch)
	{
		# either nothing is to stay, or what fails leaves nothing
		my $nothing = int(rand(2));
		my $script = '';

		for (1 .. $batch)
		{
			my ($kind, $text) = statements(fuzz_call($functions[ int(rand(@functions)) ]));
			$text = "BEGIN;\n${text}ROLLBACK;\n" if $nothing && $kind > 1;
			$script .= $text;
		}
		my $before = $nothing ? $watcher->query($trace) : '';
		$session->query("\\o /dev/null\n$script");
		$fine = judge($session, $script);
		$traces++ if $nothing && $watcher->query($trace) ne $before;
		unless ($nothing)
		{
			my ($call) = fuzz_call($functions[ int(rand(@functions)) ]);
			$before = $watcher->query($trace);
			$session->query("SELECT * FROM $call");
			$fine &&= judge($session, $call);
			if ($session->{error} =~ /ERROR/ && $watcher->query($trace) ne $before)
			{
				$traces++;
				diag("it failed, and left something: $call");
			}
		}
		$warm //= contexts($session) if $done + $batch > $n / 3;
	}
	ok($fine, "$name: every error has its SQLSTATE, and none is internal");
	is($traces, 0, "$name: no trace of what failed or was rolled back");
	my $last = contexts($session);
	cmp_ok(memory($last), '<', memory($warm) + 500_000, "$name: the backend's memory does not grow") || diag(grown($warm, $last));
	$_->quit for $session, $watcher;
	return;
}

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; GRANT pg_read_all_stats TO app; CREATE ROLE somebody');
# Those that return a row, in turn: what is kept of each is kept once.
$node->safe_psql('postgres', 'CREATE DATABASE rows');
$node->safe_psql('rows', 'CREATE EXTENSION presence');
my $session = session($node, 'rows');
my $rows = "SELECT presence.join_room('ann', 'b'), presence.join_rooms('{ben}', '{b}', NULL, NULL), presence.poll_room('ann', 'b'), "
  . "presence.poll_room_changes('ann', 'b'), presence.webhook_tidy(), presence.memory(), presence.statistics(), presence.liveness('ann', 'b');\n";
$session->query("\\o /dev/null\n" . $rows x 20);
my $warm = memory(contexts($session));
$session->query("\\o /dev/null\n" . $rows x 200);
cmp_ok(memory(contexts($session)), '<', $warm + 10_000, 'functions that return a row, in turn: memory does not grow');
$session->quit;

for my $encoding ('UTF8', 'SQL_ASCII')
{
	my $dbname = lc $encoding;

	$node->safe_psql('postgres', "CREATE DATABASE $dbname TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($dbname, q{
		CREATE EXTENSION presence;
		SELECT presence.grant_app('app');
		INSERT INTO presence.pusher_app (app_id, key, secret, presence_channels, encryption_master_key)
			VALUES ('1', 'a-key', 'a-secret', 'allow', 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=');
		INSERT INTO presence.pusher_webhook (app_id, url) VALUES ('1', 'http://127.0.0.1:1/');
		SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Ann"}'), presence.join_room('ben', 'b');});
	wait_for_worker($node, $dbname);
	my $used = $node->safe_psql($dbname, "SELECT presence.sweep('infinity')") && $node->safe_psql($dbname, 'SELECT memory_used FROM presence.memory()');
	fuzz($dbname, $encoding, $_, $calls / 4) for 'postgres', 'app';
	my $worker = wait_for_worker($node, $dbname);
	ok($node->poll_query_until($dbname, "SELECT presence.sweep('infinity') = 0 AND memory_used <= $used FROM presence.memory()"),
		"$encoding: presence's memory is given back")
	  || diag($node->safe_psql($dbname, "SELECT memory_used - $used FROM presence.memory()"));
	same_worker($node, $dbname, $worker, "$encoding: the worker lives");
}
diag(join ', ', map { "$states{$_} x $_" } sort keys %states);
cmp_ok(scalar(keys %states), '>', $which eq '' ? 5 : 0, 'errors of many kinds');
$node->stop;
nothing_crashed($node);
unlike(slurp_file($node->logfile), qr/(?:ERROR|FATAL|WARNING):.*(?:internal|unexpected|cache lookup)/, 'nothing odd in the log');
done_testing();
