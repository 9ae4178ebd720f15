# What the TAP tests share: nodes with presence, its worker, a listener for events.
#
# A node has the extension preloaded, unless told otherwise, and installed in
# the database postgres.
package PresenceTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(presence_node session sqlstate refused worker_pid wait_for_worker
  wait_for_no_worker wait_until seconds quick listener);

# presence_node(name, plain => not preloaded, conf => settings, init => {...})
sub presence_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ], %{ $options{init} // {} });
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'presence'")
	  unless $options{plain};
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION presence');
	return $node;
}

# A psql that stays open and survives errors.
sub session
{
	my ($node, $dbname, %options) = @_;
	return $node->background_psql($dbname, on_error_stop => 0, %options);
}

# The SQLSTATE that statements end with, 00000 if they succeed; user => a role.
sub sqlstate
{
	my ($node, $dbname, $sql, %options) = @_;
	my @user = $options{user} ? ('-U', $options{user}) : ();
	my $error = '';

	$node->psql($dbname, $sql, stderr => \$error,
		extra_params => [ '-v', 'VERBOSITY=sqlstate', @user ]);
	return $error =~ /(?:ERROR|FATAL):  (\w{5})/ ? $1 : $error eq '' ? '00000' : $error;
}

# What psql says of statements in an open session, '' if nothing.
sub refused
{
	my ($session, $sql) = @_;

	$session->{stderr} = '';
	$session->query($sql);
	my $error = $session->{stderr};
	$session->{stderr} = '';
	return $error;
}

# The pid of a database's worker, '' if there is none.
sub worker_pid
{
	my ($node, $dbname) = @_;
	return $node->safe_psql('template1',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'presence worker' AND datname = '$dbname'");
}

# wait_for_worker(node, database, not this one): the pid
sub wait_for_worker
{
	my ($node, $dbname, $other_than) = @_;
	my $pid = '';

	$other_than //= '';
	wait_until("a worker in $dbname",
		sub { $pid = worker_pid($node, $dbname); $pid ne '' && $pid ne $other_than; });
	return $pid;
}

sub wait_for_no_worker
{
	my ($node, $dbname) = @_;
	wait_until("no worker in $dbname", sub { worker_pid($node, $dbname) eq '' });
	return;
}

# Polls until the code returns true.
sub wait_until
{
	my ($what, $code) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (!$code->())
	{
		die "timed out waiting for $what" if time > $end;
		usleep(50_000);
	}
	return;
}

# How long the code takes.
sub seconds
{
	my ($code) = @_;
	my $start = time;

	$code->();
	return time - $start;
}

# One test: the code takes at most so many seconds.
sub quick
{
	my ($limit, $code, $name) = @_;
	my $taken = seconds($code);

	return cmp_ok($taken, '<', $limit, sprintf('%s (%.2f s)', $name, $taken));
}

sub listener
{
	return PresenceTest::Listener->new(@_);
}

# A psql that listens and collects.
package PresenceTest::Listener;

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use JSON::PP;

sub new
{
	my ($class, $node, $dbname, $channel) = @_;
	my $self = bless { in => '', out => '', polls => 0, payloads => [], node => $node, dbname => $dbname }, $class;

	$channel //= 'presence';
	$self->{run} = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr($dbname), '-f', '-' ],
		'<', \$self->{in}, '>', \$self->{out},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$self->{in} .= "LISTEN $channel;\n";
	$self->poll;
	return $self;
}

# All payloads so far; what was committed before is among them.
sub poll
{
	my ($self) = @_;

	# the worker has sent what was queued
	$self->{node}->poll_query_until($self->{dbname},
		'SELECT coalesce(queued, 0) = 0 FROM presence.stats');
	return $self->raw;
}

# All payloads that have come so far.
sub raw
{
	my ($self) = @_;
	my $done = 'poll ' . ++$self->{polls} . ' done';

	# the server sends what came before with the first answer, psql prints it after
	$self->{in} .= "SELECT 1;\nSELECT 1;\n\\echo $done\n";
	$self->{run}->pump until $self->{out} =~ /^$done$/m;
	push @{ $self->{payloads} }, $1
	  while $self->{out} =~ /^Asynchronous notification "[^"]+" with payload "(.*)" received from/mg;
	$self->{out} = '';
	return @{ $self->{payloads} };
}

# The same, decoded.
sub events
{
	my ($self) = @_;
	my $json = JSON::PP->new->utf8;

	return map { $json->decode($_) } $self->poll;
}

# Events since the last call, as "event user reason"; waits until there are n at least.
sub news
{
	my ($self, $n) = @_;
	my @events;

	PresenceTest::wait_until("$n events",
		sub { @events = $self->events; @events - ($self->{told} // 0) >= $n; });
	my @news = @events[ ($self->{told} // 0) .. $#events ];
	$self->{told} = @events;
	return join ', ',
	  map { join ' ', $_->{event}, $_->{user_id}, defined $_->{reason} ? $_->{reason} : () } @news;
}

sub quit
{
	my ($self) = @_;

	$self->{in} .= "\\q\n";
	$self->{run}->finish;
	return;
}

1;
