# Every payload can be verified: its last key is a code that only who has the key can make.
# Whatever the rows hold, a payload is JSON and no longer than NOTIFY takes.
use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my %key;

sub key_of
{
	my ($node, $dbname) = @_;
	return pack 'H*', $node->safe_psql($dbname, "SELECT encode(presence.event_key(), 'hex')");
}

sub is_genuine
{
	my ($key, $payload) = @_;
	my ($told, $mac) = $payload =~ /\A(.*),"mac":"([0-9a-f]{32})"\}\z/s;

	return defined $mac && $mac eq substr(hmac_sha256_hex($told, $key), 0, 32);
}

# One test: each payload is JSON, of no more than 7,999 bytes, with the right code at its end.
sub verified
{
	my ($node, $dbname, $name, @payloads) = @_;
	my $key = key_of($node, $dbname);
	my @wrong;

	for my $payload (@payloads)
	{
		my $event = eval { JSON::PP->new->utf8->decode($payload) };

		push @wrong, $payload
		  unless is_genuine($key, $payload) && $event && length $event->{mac} == 32 && length $payload < 8000;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply(\@wrong, [], sprintf '%s: %d payloads', $name, scalar @payloads);
}

# Rows as only a superuser writes them, past all limits
my $strange = <<'END';
	INSERT INTO presence.room_presence (user_id, book_id, user_info) VALUES
		('"quoted"', '\back\slash', '{"a": "\"\\"}'),
		(E'line\nbreak\ttab\x01\x1f\x7f', E'\x08\x0c', 'null'),
		('no object', 'array', '[1, "two", null]'),
		('no object', 'scalar', '"text"'),
		('no object', 'number', '1e400'),
		(U&'\00e4\20ac\+01F600\2028\2029', U&'\00fc', jsonb_build_object(U&'\2028', U&'\+01F600')),
		('', '', '{}'),
		('</script>', '{"mac":"00000000000000000000000000000000"}', '{"mac": "x", ",\"mac\"": ",\"mac\":\""}'),
		('big info', 'big', jsonb_build_object('x', repeat('y', 20000))),
		('escapes', 'big', jsonb_build_object('x', repeat(E'\x01', 1500))),
		(repeat('u', 2000), repeat('b', 600), jsonb_build_object('x', repeat('z', 7000)));
	INSERT INTO presence.room_presence (user_id, book_id, user_info)
		SELECT repeat('"', 800) || i, repeat('\', 400), NULL FROM generate_series(1, 3) AS i;
	INSERT INTO presence.room_presence (user_id, book_id, joined_at) VALUES ('early', 'times', '-infinity'), ('old', 'times', '4000-01-01 BC');
END

for my $plain (0, 1)
{
	my $how = $plain ? 'not preloaded' : 'preloaded';
	my $node = presence_node("mac_$plain", plain => $plain, conf => "presence.timeout = '3 s'\npresence.event_queue_size = '64kB'\nrestart_after_crash = on");
	$node->safe_psql('postgres', q{
		CREATE ROLE web LOGIN; CREATE ROLE gateway LOGIN; CREATE ROLE monitor LOGIN; CREATE ROLE nobody LOGIN;
		SELECT presence.grant_app('web'), presence.grant_gateway('gateway'), presence.grant_monitor('monitor');
	});
	my $app = session($node, 'postgres');
	my $listener = listener($node, 'postgres');

	is($app->query('SELECT octet_length(presence.event_key())'), '32', "$how: a key of 32 bytes");
	is(sqlstate($node, 'postgres', 'SELECT presence.event_key()', user => 'gateway'), '00000', "$how: a gateway has it");
	is(sqlstate($node, 'postgres', 'SELECT presence.event_key()', user => $_), '42501', "$how: $_ has not") for qw(web monitor nobody);
	my $key = $app->query('SELECT presence.event_key()');
	is(session($node, 'postgres')->query('SELECT presence.event_key()'), $key, "$how: it is the same everywhere");
	isnt($key, $key{any} // '', "$how: and no other cluster's");
	$key{any} = $key;
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('other', 'CREATE EXTENSION presence');
	isnt($node->safe_psql('other', 'SELECT presence.event_key()'), $key, "$how: nor another database's");
	is($app->query("SELECT count(*) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid, unnest('{web,gateway,monitor,nobody}'::name[]) AS r
			WHERE c.relnamespace = 'presence'::regnamespace AND a.attname ~ 'key|secret' AND a.attnum > 0 AND c.relkind = 'r'
				AND has_column_privilege(r, c.oid, a.attnum, 'SELECT')"), '0', "$how: nobody reads it from a table");

	# what each kind of event says
	$app->query(q{
		SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Ann \"A\" \u00e4", "mac": "x"}', true, '1 h');
		SELECT presence.join_room('ann', 'b', 'tab-1', '{"name": "Anna"}');
		SELECT presence.join_room('ben', 'b');
		SELECT presence.leave_room('ann', 'b');
		SELECT presence.join_room('cy', 'b', ttl => '1 h'), presence.forget_user('cy');
		SELECT presence.join_rooms('{dee,eve}', '{b,b}', NULL, '{"{\"a\": 1}",NULL}', '1 h');
		BEGIN; SELECT presence.join_room('in', 't', ttl => '1 h'); SELECT presence.leave_room('in', 't'); COMMIT;
	});
	if ($plain) { wait_until('ben to go', sub { $app->query('SELECT presence.sweep()') ne '0' }) }
	is($listener->news(11) =~ s/(member_\w+) [^,]+/$1/gr, 'member_added, member_updated, member_added, member_removed, ' .
		'member_added, member_removed, member_added, member_added, member_added, member_removed, member_removed', "$how: each kind")
	  or diag(join "\n", $listener->payloads);
	verified($node, 'postgres', "$how: each kind", $listener->payloads);
	my ($anna) = grep { $_->{event} eq 'member_updated' } $listener->events;
	is_deeply([ sort keys %$anna ], [ sort qw(event seq channel book_id user_id user_info is_author presence_id reason at mac) ], "$how: the keys of an event");

	# strange rows: adopted, and ended; forgotten
	$app->query($strange);
	is($app->{error}, '', "$how: strange rows");
	my $rows = $app->query('SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL') - 2;
	$app->query(q{SELECT presence.forget_user(user_id) FROM presence.room_presence WHERE user_id IN ('</script>', 'big info')});
	eval {
		wait_until('all to leave', sub {
			$app->query('SELECT presence.sweep()');
			return $app->query("SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL AND user_id NOT IN ('dee', 'eve')") eq '0';
		});
		1;
	} or diag("$@, $app->{error}");
	is($app->query("SELECT left(user_id, 20), left(book_id, 20) FROM presence.room_presence WHERE left_at IS NULL AND user_id NOT IN ('dee', 'eve')"),
		'', "$how: all have left");
	wait_until("the events of $rows rows", sub {
		my %told = map { $_->{event} eq 'resync' ? () : ("$_->{book_id} $_->{user_id}" => 1) } grep { $_->{event} ne 'member_added' } $listener->events;
		return keys(%told) >= $rows || grep { $_->{event} eq 'resync' } $listener->events;
	});
	verified($node, 'postgres', "$how: strange rows", $listener->payloads);
	is($app->query("SELECT added FROM presence.join_room('after', 'b', ttl => '1 h')"), 't', "$how: and life goes on");
	wait_until('the last event', sub { grep { ($_->{user_id} // '') eq 'after' } $listener->events });

	if (!$plain)
	{
		# a resync, which comes of a full queue
		my $worker = wait_for_worker($node, 'postgres');
		stop_worker($node, $worker);
		$app->query("SELECT count(presence.join_room('u' || i, 'many', ttl => '1 h')) FROM generate_series(1, 1000) AS i");
		kill 'CONT', $worker;
		wait_until('a resync', sub { grep { $_->{event} eq 'resync' } $listener->events });
		verified($node, 'postgres', "$how: a resync", grep { /"resync"/ } $listener->payloads);
	}
	verified($node, 'postgres', "$how: all", $listener->payloads);

	# the name of the channel is for superusers' eyes
	is(sqlstate($node, 'postgres', "SELECT presence.member_count('b'); SHOW presence.channel", user => 'web'), '42501', "$how: the app does not see the channel's name");
	is($app->query('SHOW presence.channel'), 'presence', "$how: a superuser does");

	# What was heard before the server's start proves nothing after it: numbers may begin anew.
	my @recorded = $listener->payloads;
	$_->quit for $app, $listener;
	for my $how_it_ends ('a restart', 'a crash')
	{
		if ($how_it_ends eq 'a restart') { $node->restart }
		else
		{
			my $victim = session($node, 'postgres');
			kill 'KILL', $victim->pid;
			$victim->quit;
			wait_for_server($node);
		}
		$listener = listener($node, 'postgres');
		my $new_key = $node->safe_psql('postgres', 'SELECT presence.event_key()');
		isnt($new_key, $key, "$how: another key after $how_it_ends");
		is($node->safe_psql('postgres', 'SELECT presence.event_key()'), $new_key, "$how: which lasts");
		is(scalar(grep { is_genuine(key_of($node, 'postgres'), $_) } $recorded[0], $recorded[-1]), 0, "$how: no event of before $how_it_ends is genuine");
		$node->safe_psql('postgres', "SELECT presence.join_room('$how_it_ends', 'restart')");
		wait_until('the event', sub { grep { ($_->{user_id} // '') eq $how_it_ends } $listener->events });
		verified($node, 'postgres', "$how: after $how_it_ends", $listener->payloads);
		push @recorded, $listener->payloads;
		$key = $new_key;
		$listener->quit;
	}
	$node->stop;
	unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, "$how: no crash but by SIGKILL");
}
done_testing();
