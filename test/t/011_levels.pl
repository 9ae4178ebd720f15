# Every isolation level, in pairs of transactions that meet: the right result, or
# 40001 for one of them, and then the right result when it tries again.
#
# What SERIALIZABLE refuses depends on plans and pages, so no specification of
# the isolation tests can tell it in advance.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('levels');
my $one = session($node, 'postgres');
my $two = session($node, 'postgres');
my $listener = listener($node, 'postgres');
my $pid_of_two = $two->pid;
my %retries;

# One of two calls that meet: name, and what each does
my %pairs = (
	'two tabs leave' => [ "presence.leave_room('ann', 'b', 'tab-1')", "presence.leave_room('ann', 'b', 'tab-2')" ],
	'a tab leaves, and all' => [ "presence.leave_room('ann', 'b', 'tab-1')", "presence.leave_room('ann', 'b')" ],
	'all leave, and a tab' => [ "presence.leave_room('ann', 'b')", "presence.leave_room('ann', 'b', 'tab-2')" ],
	'all leave twice' => [ "presence.leave_room('ann', 'b')", "presence.leave_room('ann', 'b')" ],
	'two sockets drop' => [ 'presence.drop_connections((SELECT array_agg(id) FROM handles WHERE n = 1)) = 1',
		'presence.drop_connections((SELECT array_agg(id) FROM handles WHERE n = 2)) = 1' ],
	'a socket drops, a tab leaves' => [ 'presence.drop_connections((SELECT array_agg(id) FROM handles WHERE n = 1)) = 1',
		"presence.leave_room('ann', 'b', 'tab-2')" ],
	'two sweeps' => [ "presence.sweep(now() + interval '2 h') = 1", "presence.sweep(now() + interval '2 h') = 1" ],
	'a sweep and a leave' => [ "presence.sweep(now() + interval '2 h') = 1", "presence.leave_room('ann', 'b')" ],
	'forgotten twice' => [ "presence.forget_user('ann') = 1", "presence.forget_user('ann') = 1" ]);

# Begins a transaction, whose snapshot is from before what comes.
sub begin
{
	my ($session, $level) = @_;

	$session->query("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM presence.room_members('b')");
	return;
}

# Sends it in the second session, and waits until it waits or is done.
sub meet
{
	my ($sql) = @_;

	$two->start($sql);
	$node->poll_query_until('postgres',
		"SELECT query NOT LIKE '%room_members%' AND (state <> 'active' OR wait_event_type = 'Lock')
		 FROM pg_stat_activity WHERE pid = $pid_of_two")
	  or die 'the second session does nothing';
	return;
}

# What it returned there, committed; after 40001 it is tried again.
sub outcome
{
	my ($sql, $level) = @_;

	for my $try (1 .. 3)
	{
		my $result = $two->finish;
		my $error = $two->{error};

		$error .= $two->refused('COMMIT');
		return $result if $error eq '';
		return $error unless $error =~ /could not serialize access/;
		$retries{$level}++;
		$two->query("BEGIN ISOLATION LEVEL $level");
		$two->start($sql);
	}
	return 'refused again and again';
}

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	for my $name (sort keys %pairs)
	{
		my ($first, $second) = map { "SELECT $_" } @{ $pairs{$name} };

		$one->query(q{
			SELECT presence.join_room('ann', 'b', 'tab-1', ttl => '1 h');
			SELECT presence.join_room('ann', 'b', 'tab-2', ttl => '1 h');
			CREATE TABLE handles AS SELECT id, substr(connection_id, 5)::int AS n FROM presence.connections;
		});
		$listener->news(1);
		begin($one, $level);
		begin($two, $level);
		my @results = $one->query($first);
		meet($second);
		is($one->refused('COMMIT'), '', "$level: $name: the first one commits");
		push @results, outcome($second, $level);
		is(scalar(grep { $_ eq 't' } @results), 1, "$level: $name: one ends the presence, not both, not none")
		  or diag(join ', ', @results);
		is($node->safe_psql('postgres', 'SELECT count(*) FROM presence.room_presence WHERE left_at IS NULL'), '0',
			"$level: $name: it has ended");
		is($node->safe_psql('postgres', 'SELECT count(*) FROM presence.connections'), '0', "$level: $name: nothing is left");
		like($listener->news(1), qr/^member_removed ann \w+$/, "$level: $name: one event");
		$node->safe_psql('postgres', 'DROP TABLE handles; DELETE FROM presence.room_presence');
	}

	# Joins: one of two adds
	begin($one, $level);
	begin($two, $level);
	my $join = "SELECT added FROM presence.join_room('ann', 'b', ttl => '1 h')";
	my $added = $one->query($join);
	meet($join);
	$one->query('COMMIT');
	is($added . outcome($join, $level), 'tf', "$level: of two joins the first adds");
	is($listener->news(1), 'member_added ann', "$level: one event");
	# and the last tab closes while another opens
	begin($one, $level);
	begin($two, $level);
	my $leave = "SELECT presence.leave_room('ann', 'b', '')";
	my $left = $one->query($leave);
	my $tab = "SELECT added FROM presence.join_room('ann', 'b', 'tab-2', ttl => '1 h')";
	meet($tab);
	$one->query('COMMIT');
	is($left . outcome($tab, $level), 'tt', "$level: a join after the last leave adds");
	is($listener->news(2), 'member_removed ann left, member_added ann', "$level: two events");
	is($node->safe_psql('postgres', "SELECT presence.forget_user('ann')"), '2', "$level: two presences");
	$listener->news(1);
}
ok(!$retries{'READ COMMITTED'}, 'nothing to try again in READ COMMITTED');
ok($retries{'SERIALIZABLE'}, 'but in SERIALIZABLE');
note(join ', ', map { "$_: $retries{$_}" } sort keys %retries);

$_->quit for $one, $two, $listener;
$node->stop('fast');
nothing_crashed($node);
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
done_testing();
