# What a listener sees: one member_added and one member_removed for each presence, of
# committed changes only, in an order one can follow; and what nobody must see: a secret.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('events', conf => "max_prepared_transactions = 5\npresence.timeout = '1 h'\n");
my $one = session($node, 'postgres');
my $two = session($node, 'postgres');
my $listener = listener($node, 'postgres');

# One test: what the statements cause, and nothing but; a marker ends it.
my $marks = 0;

sub told
{
	my ($name, $expected, $sql) = @_;
	my $mark = 'mark-' . ++$marks;
	my @expected = split /, /, $expected;

	$one->query($sql) if defined $sql;
	$two->query("SELECT presence.join_room('$mark', 'marks', ttl => '1 day')");
	return is($listener->news(@expected + 1), join(', ', @expected, "member_added $mark"), $name);
}

# Members come and go
told('a member comes', 'member_added ann', "SELECT presence.join_room('ann', 'b')");
told('a second tab', '', "SELECT presence.join_room('ann', 'b', 'tab-2')");
told('the same again', '', "SELECT presence.join_room('ann', 'b', 'tab-2')");
told('heartbeats', '', q{
	SELECT presence.touch_room('ann', 'b');
	SELECT presence.touch(array_agg(id)) FROM presence.connections;
	SELECT presence.poll_room('ann', 'b');
});
told('one of two tabs closes', '', "SELECT presence.leave_room('ann', 'b', 'tab-2')");
told('a tab that is none closes', '', "SELECT presence.leave_room('ann', 'b', 'tab-9')");
told('an update', 'member_updated ann', q{SELECT presence.join_room('ann', 'b', '', '{"name": "Ann"}')});
told('the same update', '', q{SELECT presence.join_room('ann', 'b', '', '{"name":"Ann"}')});
told('an author', 'member_updated ann', "SELECT presence.join_room('ann', 'b', is_author => true)");
told('the last tab closes', 'member_removed ann left', "SELECT presence.leave_room('ann', 'b', '')");
told('a leave of nobody', '', "SELECT presence.leave_room('ann', 'b')");
told('a batch', 'member_added ann, member_added ben', "SELECT presence.join_rooms('{ann,ben}', '{b,b}', '{1,1}', NULL)");
told('a batch of tabs', 'member_updated ann',
	q{SELECT presence.join_rooms('{ann,ann}', '{b,b}', '{2,3}', ARRAY[NULL, '{"name": "Ann"}']::jsonb[])});
told('sockets drop', 'member_removed ben left',
	"SELECT presence.drop_connections(array_agg(id)) FROM presence.connections WHERE (user_id, connection_id) IN (('ann', '1'), ('ben', '1'))");
told('a timeout', 'member_removed ann timeout', "SELECT presence.sweep(now() + interval '90 min')");
told('a user is forgotten', 'member_added ann, member_removed ann removed',
	"SELECT presence.join_room('ann', 'b'); SELECT presence.forget_user('ann')");
told('and is not known any more', '', "SELECT presence.forget_user('ann')");

is($node->safe_psql('postgres', "SELECT count(*) FROM presence.room_presence WHERE leave_reason = 'timeout' AND book_id = 'b'"), '0',
	'who is forgotten leaves no history');

# Committed changes only
told('a rollback', '', "BEGIN; SELECT presence.join_room('ann', 'b'); ROLLBACK");
told('an error', '', "BEGIN; SELECT presence.join_room('ann', 'b'); SELECT presence.join_room('ann', 'no room'); COMMIT");
told('savepoints', 'member_added ann, member_added cy', q{
	BEGIN;
	SELECT presence.join_room('ann', 'b');
	SAVEPOINT a;
	SELECT presence.join_room('ben', 'b');
	SAVEPOINT b;
	SELECT presence.leave_room('ann', 'b');
	RELEASE b;
	ROLLBACK TO a;
	SAVEPOINT c;
	SELECT presence.join_room('cy', 'b');
	RELEASE c;
	SAVEPOINT d;
	SELECT presence.leave_room('cy', 'b');
	ROLLBACK TO d;
	COMMIT;
});
told('what PL/pgSQL catches', 'member_added dee', q{
	DO $$
	BEGIN
		PERFORM presence.join_room('dee', 'b');
		BEGIN
			PERFORM presence.leave_room('ann', 'b');
			RAISE EXCEPTION 'no';
		EXCEPTION WHEN OTHERS THEN
		END;
	END $$;
});
told('leave and join in one transaction', 'member_removed ann left, member_added ann',
	"BEGIN; SELECT presence.leave_room('ann', 'b'); SELECT presence.join_room('ann', 'b'); COMMIT");
told('presence.notify off', '', "BEGIN; SET LOCAL presence.notify = off; SELECT presence.leave_room('dee', 'b'); COMMIT");
is($one->refused("BEGIN; SELECT presence.leave_room('ann', 'b'); PREPARE TRANSACTION 'p'") ne '', 1,
	'PREPARE TRANSACTION is refused');
$one->query('ROLLBACK');
told('and did nothing', '');
is(sqlstate($node, 'postgres', "BEGIN; SELECT presence.leave_room('ann', 'b'); PREPARE TRANSACTION 'p'"), '0A000',
	'with feature_not_supported');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'nothing is prepared');
is(sqlstate($node, 'postgres', "BEGIN; SELECT * FROM presence.room_members('b'); PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'"),
	'00000', 'a transaction that only reads can be');

# The order: what waits for another comes after it, whoever began first.
$one->query("BEGIN; SELECT presence.join_room('eve', 'b')");
$two->start("SELECT presence.leave_room('eve', 'b')");
is($two->finish, 'f', 'a leave sees no join that is not committed');
$two->start("SELECT presence.join_room('eve', 'b', 'tab-2')");
$one->query('COMMIT');
$two->finish;
$one->query("BEGIN; SELECT presence.leave_room('eve', 'b')");
$two->start("SELECT added FROM presence.join_room('eve', 'b')");
is($listener->news(1), 'member_added eve', 'the first join is told at its commit');
$one->query('COMMIT');
is($two->finish, 't', 'a join waits for a leave');
told('a leave before the join that waited for it', 'member_removed eve left, member_added eve');
$one->query("BEGIN; SELECT presence.leave_room('eve', 'b')");
$two->query("SELECT presence.join_room('fay', 'b')");
$one->query('COMMIT');
told('two that do not meet', 'member_added fay, member_removed eve left');

# Ends by the worker, and a member who is replaced
told('a lease', 'member_added gus', "SELECT presence.join_room('gus', 'b', ttl => '4 s')");
is($listener->news(1), 'member_removed gus timeout', 'the worker tells of its end');

# Another channel, by the setting
my $other = listener($node, 'postgres', 'elsewhere');
$one->query("SET presence.channel = 'elsewhere'; SELECT presence.join_room('hal', 'b'); RESET presence.channel");
is($other->news(1), 'member_added hal', 'presence.channel');
told('and not on the other', '');
$other->quit;

# The payload
my @keys = qw(event seq channel book_id user_id user_info is_author presence_id reason at mac);
my $odd = qq(o"d\\d \x{e9}\x{1f600} 'user'\n<script>\x{2028}&\t);
my $bytes = $odd;
utf8::encode($bytes);
my $literal = "'" . ($bytes =~ s/'/''/gr) . "'";
$one->query("SET presence.channel_prefix = 'presence-'");
$one->query(qq{SELECT presence.join_room($literal, 'b;k,.@=-_1', '', jsonb_build_object('name', $literal, 'n', 1.50, 'a', ARRAY[1, NULL], 'o', NULL), true)});
my $at = $one->query("SELECT to_char(joined_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM presence.room_presence WHERE book_id = 'b;k,.@=-_1'");
my $presence_id = $one->query("SELECT id FROM presence.room_presence WHERE book_id = 'b;k,.@=-_1'");
$one->query('RESET presence.channel_prefix');
$listener->news(1);
my $payload = ($listener->payloads)[-1];
my $event = JSON::PP->new->utf8->decode($payload);
is_deeply([ sort keys %$event ], [ sort @keys ], 'the keys of a payload');
is(join(' ', $payload =~ /[{,]"(\w+)":/g) =~ s/ (?:name|n|a|o)\b//gr, join(' ', @keys), 'in their order');
is($event->{event}, 'member_added', 'event');
is($event->{channel}, 'presence-b;k,.@=-_1', 'channel');
is($event->{book_id}, 'b;k,.@=-_1', 'book_id');
is($event->{user_id}, $odd, 'user_id, with all its characters');
is_deeply($event->{user_info}, { name => $odd, n => 1.50, a => [ 1, undef ], o => undef }, 'user_info');
is($payload =~ /"is_author":true,"presence_id":$presence_id,"reason":null,"at":"\Q$at\E","mac":"[0-9a-f]{32}"\}$/ ? 'as it should' : $payload,
	'as it should', 'is_author, presence_id, reason, at');
unlike($payload, qr/[\x00-\x1f]|[,:] /, 'compact, without control characters');

# The longest of all fits.
is($one->refused(qq{SELECT presence.join_room(repeat(chr(1), 128), repeat('b', 150), repeat('c', 128), jsonb_build_object('x', repeat('x', 1000)))}),
	'', 'the longest event');
$one->query("SELECT presence.leave_room(repeat(chr(1), 128), repeat('b', 150))");
is($listener->news(2) =~ /^member_added \x01{128}, member_removed \x01{128} left$/ ? 1 : 0, 1, 'arrives');

# All of them: valid, each presence added and removed once, seq all different
my %seen;
my (%added, %removed);
for my $one_event ($listener->events)
{
	$seen{ $one_event->{seq} }++;
	$added{ $one_event->{presence_id} }++ if $one_event->{event} eq 'member_added';
	$removed{ $one_event->{presence_id} }++ if $one_event->{event} eq 'member_removed';
}
is(scalar(grep { $_ > 1 } values %seen), 0, 'seq is different in each event');
is(scalar(grep { $_ > 1 } values %added, values %removed), 0, 'no presence is added or removed twice');
is(scalar(grep { !$added{$_} } keys %removed), 0, 'none is removed that was not added');

# No secret is seen: not in the log, in pg_stat_activity, in errors.
my $secret = 'seCret' . '0123456789abcdef';
$node->safe_psql('postgres', "SET log_statement = none; INSERT INTO presence.pusher_app VALUES ('7', 'the-key', '$secret')");
$node->append_conf('postgresql.conf', q{
log_statement = all
log_min_messages = debug1
log_duration = on
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_error_verbosity = verbose
debug_print_plan = on
track_activities = on
track_activity_query_size = 8kB
});
my $offset = -s $node->logfile;
$node->reload;
$node->safe_psql('postgres', 'CREATE ROLE web LOGIN; CREATE ROLE gateway LOGIN');
$node->safe_psql('postgres', "SELECT presence.grant_app('web'); SELECT presence.grant_gateway('gateway')");
my $web = session($node, 'postgres', user => 'web');
my $said = '';
my @calls = (
	"SELECT presence.pusher_auth_signature('1.2', 'private-x')",
	"SELECT presence.pusher_auth_signature('1.2', 'private-x', NULL, 'the-key')",
	"SELECT presence.pusher_auth_signature('1.2', 'private-x', NULL, 'no-key')",
	"SELECT presence.pusher_auth_signature('1:2', 'private-x')",
	"SELECT presence.pusher_authorize_channel('ann', '1.2', 'presence-room-b')",
	"SELECT presence.pusher_authorize_channel('ann', '1.2', 'private-user-ben')",
	"SELECT presence.pusher_authenticate_user('ann', '1.2')",
	"SELECT presence.pusher_sign_request('GET', '/apps/7/channels')",
	"SELECT presence.pusher_verify_webhook('the-key', 'bad', '{}')",
	"SELECT presence.pusher_apply_webhook('the-key', 'bad', '{}')",
	'SELECT * FROM presence.pusher_app',
	'SELECT * FROM presence.pusher_apps()',
	'TABLE presence.pusher_app');
for my $call (@calls)
{
	$said .= $web->query($call) . $web->{error};
	$said .= $one->query("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
}
$said .= $one->query("UPDATE presence.pusher_app SET key = NULL WHERE app_id = '7'") . $one->{error};
$said .= $one->query("UPDATE presence.pusher_app SET key = ''") . $one->{error};
$said .= $one->query("UPDATE presence.pusher_app SET secret = ''") . $one->{error};
$said .= $one->query("UPDATE presence.pusher_app SET secret = NULL") . $one->{error};
$said .= $one->query("INSERT INTO presence.pusher_app SELECT 8, key, secret FROM presence.pusher_app") . $one->{error};
$said .= $one->query("INSERT INTO presence.pusher_app SELECT app_id, 'new', secret FROM presence.pusher_app") . $one->{error};
my @errors = $said =~ /ERROR/g;
cmp_ok(scalar(@errors), '>=', 9, 'calls that fail');
like($said, qr/^the-key:[0-9a-f]{64}/m, 'calls that sign');
unlike($said, qr/seCret/, 'no secret in a result, an error or pg_stat_activity');
is($node->safe_psql('postgres', 'SELECT bool_and(secret = $$' . 'seCret$$ || $$0123456789abcdef$$) FROM presence.pusher_app'), 't', 'which is still there');
my $log = slurp_file($node->logfile, $offset);
like($log, qr/pusher_sign_request/, 'the log has the calls');
unlike($log =~ s/^.*SELECT bool_and\(secret = .*$//mr, qr/seCret0/, 'and no secret');

$_->quit for $one, $two, $web, $listener;
$node->stop('fast');
nothing_crashed($node);
done_testing();
