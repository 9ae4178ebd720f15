# Commands that need a database to themselves, while its worker runs: they are not
# kept waiting, and the worker is back afterwards. Several databases, restarts, shutdowns.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use PresenceTest;

# Without the worker out of the way, PostgreSQL waits for 5 s and gives up.
use constant QUICK => 4;

my $node = presence_node('databases', conf => "max_worker_processes = 20\nallow_in_place_tablespaces = on");

# A database with a worker that has a long lease to sleep for; one lease ends soon.
sub create_room
{
	my ($dbname) = @_;

	$node->safe_psql($dbname, 'CREATE EXTENSION presence');
	$node->safe_psql($dbname, "SELECT presence.join_room('ann', 'b', ttl => '1 h')");
	return wait_for_worker($node, $dbname);
}

sub create_database
{
	my ($dbname) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $dbname");
	return create_room($dbname);
}

# One test: a lease that ends there is ended.
sub expires
{
	my ($dbname, $name) = @_;

	$node->safe_psql($dbname, "SELECT presence.join_room('ben', 'c', ttl => '1 s')");
	return ok($node->poll_query_until($dbname,
			"SELECT NOT EXISTS (SELECT FROM presence.room_presence WHERE book_id = 'c' AND left_at IS NULL)"),
		$name);
}

# DROP DATABASE
create_database('a');
quick(QUICK, 'DROP DATABASE', sub { $node->safe_psql('postgres', 'DROP DATABASE a') });
create_database('a');
quick(QUICK, 'DROP DATABASE (FORCE)',
	sub { $node->safe_psql('postgres', 'DROP DATABASE a WITH (FORCE)') });

# ... in which somebody keeps the worker waiting
create_database('a');
my $busy = session($node, 'a');
$busy->query('BEGIN; LOCK TABLE presence.room_presence IN ACCESS EXCLUSIVE MODE');
$busy->query("SELECT FROM presence.join_room('ben', 'b', ttl => '1 s')");
my $blocker = session($node, 'a');
$blocker->start("SELECT presence.leave_room('ann', 'b')");
$node->safe_psql('template1', "SELECT pg_terminate_backend(" . worker_pid($node, 'a') . ")");
ok($node->poll_query_until('postgres', q{
		SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE backend_type = 'presence worker' AND datname = 'a' AND wait_event_type = 'Lock')}),
	'a worker waits for a lock');
quick(QUICK, 'DROP DATABASE (FORCE) of it',
	sub { $node->safe_psql('postgres', 'DROP DATABASE a WITH (FORCE)') });
$_->quit for $busy, $blocker;

# ... by its owner, who is no superuser, and by somebody who may not
$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN CREATEDB; CREATE ROLE other LOGIN CREATEDB');
$node->safe_psql('postgres', 'CREATE DATABASE a OWNER owner');
my $worker = create_room('a');
is(sqlstate($node, 'postgres', 'DROP DATABASE a', user => 'other'), '42501', 'others may not drop it');
is(sqlstate($node, 'postgres', 'ALTER DATABASE a RENAME TO z', user => 'other'), '42501', 'nor rename it');
is(sqlstate($node, 'postgres', 'CREATE DATABASE z TEMPLATE a', user => 'other'), '42501', 'nor copy it');
is(sqlstate($node, 'a', 'DROP DATABASE a'), '55006', 'nobody drops the database he is in');
is(worker_pid($node, 'a'), $worker, 'the worker of a is the same') or $worker = wait_for_worker($node, 'a');
quick(QUICK, 'DROP DATABASE by the owner',
	sub { is(sqlstate($node, 'postgres', 'DROP DATABASE a', user => 'owner'), '00000', 'the owner may') });

# ... that fails, because somebody is there
create_database('a');
my $guest = session($node, 'a');
is(sqlstate($node, 'postgres', 'DROP DATABASE a'), '55006', 'DROP DATABASE fails while somebody is there');
wait_for_worker($node, 'a');
expires('a', 'the worker is back');
# ... or because its session is terminated while it waits for him
my $dropper = session($node, 'postgres');
my $dropper_pid = $dropper->pid;
$dropper->start('DROP DATABASE a');
wait_for_no_worker($node, 'a');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($dropper_pid)");
wait_for_worker($node, 'a');
expires('a', 'and again after the end of the session that dropped');
$dropper->quit;
$guest->quit;
is(sqlstate($node, 'postgres', 'DROP DATABASE IF EXISTS nowhere'), '00000', 'DROP DATABASE IF EXISTS of none');

# ALTER DATABASE ... RENAME, ... SET TABLESPACE
quick(QUICK, 'ALTER DATABASE RENAME',
	sub { $node->safe_psql('postgres', 'ALTER DATABASE a RENAME TO b') });
wait_for_worker($node, 'b');
expires('b', 'the renamed database has its worker');
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION ''");
quick(QUICK, 'ALTER DATABASE SET TABLESPACE',
	sub { $node->safe_psql('postgres', 'ALTER DATABASE b SET TABLESPACE elsewhere') });
wait_for_worker($node, 'b');
expires('b', 'the moved database has its worker');

# CREATE DATABASE ... TEMPLATE: the copy has members too, and a worker for them
$node->safe_psql('b', "SELECT presence.join_room('cy', 'copied', ttl => '6 s')");
quick(QUICK, 'CREATE DATABASE TEMPLATE',
	sub { $node->safe_psql('postgres', 'CREATE DATABASE c TEMPLATE b') });
is($node->safe_psql('c', "SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM presence.room_presence WHERE left_at IS NULL"),
	'ann cy', 'the copy has its members');
wait_for_worker($node, 'b');
wait_for_worker($node, 'c');
for my $dbname ('b', 'c')
{
	ok($node->poll_query_until($dbname,
			"SELECT leave_reason = 'timeout' FROM presence.room_presence WHERE book_id = 'copied'"),
		"a lease from before ends in $dbname");
	expires($dbname, "$dbname has its worker");
}
quick(QUICK, 'CREATE DATABASE by file copy',
	sub { $node->safe_psql('postgres', 'CREATE DATABASE d TEMPLATE b STRATEGY file_copy') });
wait_for_worker($node, 'd');

# Nobody waits for the launcher's database: it is in none.
quick(QUICK, 'CREATE DATABASE from template1',
	sub { $node->safe_psql('postgres', 'CREATE DATABASE plain') });

$node->safe_psql('postgres', 'DROP DATABASE plain');

# Several at once
expires('postgres', 'postgres has a worker as well');
my %pids = map { $_ => worker_pid($node, $_) } qw(postgres b c d);
is(scalar(grep { $_ ne '' } values %pids), 4, 'four databases, four workers');
is($node->safe_psql('b', "SELECT presence.member_count('b')"), '1', 'each with its own members');
is($node->safe_psql('postgres', "SELECT presence.member_count('b')"), '0', 'and no other');

# A database that no one may connect to has no worker that fails for ever.
$node->safe_psql('postgres', 'ALTER DATABASE d ALLOW_CONNECTIONS false');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pids{d})");
wait_for_no_worker($node, 'd');
$node->safe_psql('postgres', 'ALTER DATABASE d ALLOW_CONNECTIONS true');
$node->safe_psql('d', 'SELECT FROM presence.stats');
wait_for_worker($node, 'd');
pass('a worker comes when one may connect again');

# After a restart each database has its worker again, though nobody uses it,
quick(QUICK, 'fast shutdown', sub { $node->stop('fast') });
$node->start;
quick(20, 'all workers are there after a restart',
	sub { wait_for_worker($node, $_) for qw(postgres b c d) });
# and its members expire.
$node->safe_psql($_, "SELECT presence.join_room('cy', 'restart', ttl => '1 s')") for qw(postgres b c d);
$node->restart;
for my $dbname (qw(postgres b c d))
{
	ok($node->poll_query_until($dbname,
			"SELECT leave_reason = 'timeout' FROM presence.room_presence WHERE book_id = 'restart'"),
		"$dbname: a lease from before the restart ends");
}

# Shutdowns
quick(QUICK, 'smart shutdown', sub { $node->stop('smart') });
$node->start;
quick(QUICK, 'DROP DATABASE while the launcher still looks round',
	sub { $node->safe_psql('postgres', 'DROP DATABASE d') });
# Whether it has looked there or not, or is about to
for my $delay (0, 0.02, 0.04, 0.06, 0.1)
{
	$node->safe_psql('postgres', 'CREATE DATABASE d TEMPLATE b STRATEGY file_copy');
	$node->restart;
	sleep $delay;
	quick(QUICK, "the same, $delay s later", sub { $node->safe_psql('postgres', 'DROP DATABASE d') });
}
wait_for_worker($node, 'b');
quick(QUICK, 'immediate shutdown', sub { $node->stop('immediate') });
$node->start;
$node->stop('fast');

nothing_crashed($node);
done_testing();
