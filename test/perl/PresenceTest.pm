# What the TAP tests share: nodes with presence, its worker, sessions that stay
# open, a listener for events.
package PresenceTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(wait_for_server presence_node session listener sqlstate worker_pid wait_for_worker
  wait_for_no_worker stop_worker wait_until wait_for_closed seconds quick same_worker nothing_crashed preload);

# A node with presence in shared_preload_libraries and in the database postgres.
# plain => 1: not preloaded; bare => 1: no extension; conf => settings; init => {...};
# env => {...}: the environment of its first start
sub presence_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	local %ENV = (%ENV, %{ $options{env} // {} });

	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ], %{ $options{init} // {} });
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'presence'")
	  unless $options{plain};
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION presence') unless $options{bare};
	return $node;
}

# session(node, database, user => role): a psql that stays open
sub session
{
	return PresenceTest::Session->new(@_);
}

# listener(node, database, channel): one that listens, and collects what happens from now on:
# what was committed before has been sent before.
sub listener
{
	my ($node, $dbname, $channel) = @_;

	wait_until('the events of before', sub {
		my ($failed, $sent) = $node->psql($dbname, 'SELECT coalesce(queued, 0) = 0 FROM presence.stats');
		return $failed || $sent eq 't'; # there may be no extension yet
	});
	return PresenceTest::Listener->new($node, $dbname, $channel);
}

# The SQLSTATE that statements end with, 00000 if they succeed; user => a role.
sub sqlstate
{
	my ($node, $dbname, $sql, %options) = @_;
	my @user = $options{user} ? ('-U', $options{user}) : ();
	my $error = '';

	$node->psql($dbname, $sql, stderr => \$error,
		extra_params => [ '-v', 'VERBOSITY=sqlstate', @user ]);
	return $error =~ /(?:ERROR|FATAL):  (\w{5})/ ? $1 : '00000';
}

# The pid of a database's worker, '' if there is none, or while the server takes no connection.
sub worker_pid
{
	my ($node, $dbname) = @_;
	my $pid = eval {
		local $SIG{PIPE} = 'IGNORE';
		$node->safe_psql('template1',
			"SELECT pid FROM pg_stat_activity WHERE backend_type = 'presence worker' AND datname = '$dbname'");
	};
	return $pid // '';
}

# Waits until a server that restarts by itself takes connections again.
sub wait_for_server
{
	my ($node) = @_;

	wait_until('the server', sub {
		return eval { local $SIG{PIPE} = 'IGNORE'; $node->safe_psql('postgres', 'SELECT 1') eq '1' };
	});
	return;
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

# stop_worker(node, pid), the launcher too: SIGSTOP, while it waits for something to do. At any other
# moment it may hold a lock that others need, also who asks what it waits for: such an answer is not
# waited for long.
sub stop_worker
{
	my ($node, $pid) = @_;

	wait_until(
		'the worker to rest',
		sub
		{
			my ($late, $waits_for);

			kill 'STOP', $pid;
			$node->psql('postgres', "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid",
				stdout => \$waits_for, timeout => 10, timed_out => \$late);
			return 1 if ($waits_for // '') eq 'Extension';
			kill 'CONT', $pid;
			return 0;
		});
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
		usleep(100_000);
	}
	return;
}

# Waits until so many stays of a room have ended.
sub wait_for_closed
{
	my ($node, $dbname, $room, $count) = @_;

	wait_until("$count to go from $room", sub {
		return $node->safe_psql($dbname,
			"SELECT count(*) FROM presence.room_presence WHERE book_id = '$room' AND left_at IS NOT NULL") >= $count;
	});
	return;
}

# One test: the worker of a database is the process it was.
sub same_worker
{
	my ($node, $dbname, $pid, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(worker_pid($node, $dbname), $pid, $name // 'the worker is the same process');
}

# The environment in which a server runs with a library of test/perl that stands before
# the C library: preload(clock => CLOCK_FILE => ...). The compiler is the one that built presence.
sub preload
{
	my ($name, %environment) = @_;
	my $source = $INC{'PresenceTest.pm'} =~ s{[^/]*\z}{$name.c}r;
	my $library = PostgreSQL::Test::Utils::tempdir() . "/$name.so";

	system($ENV{CC} // 'cc', qw(-O1 -Wall -Wextra -Werror -fPIC -shared -o), $library, $source, '-ldl') == 0
	  or die "could not compile $source";
	return { %environment, LD_PRELOAD => $library };
}

# How long the code takes.
sub seconds
{
	my ($code) = @_;
	my $start = time;

	$code->();
	return time - $start;
}

# One test: the code takes less than so many seconds.
sub quick
{
	my ($limit, $name, $code) = @_;
	my $taken = seconds($code);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($taken < $limit, sprintf('%s in %.2f s, of %g', $name, $taken, $limit));
}

# One test: the server's log tells of no crash.
sub nothing_crashed
{
	my ($node) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|was terminated by signal/, 'no crash');
}

# BackgroundPsql differs from one minor version to the next; this is all that is needed of it.
package PresenceTest::Session;

use strict;
use warnings FATAL => 'all';

use IPC::Run;

sub new
{
	my ($class, $node, $dbname, %options) = @_;
	my $self = bless { in => '', out => '', err => '', count => 0, error => '' }, $class;
	my @user = $options{user} ? ('-U', $options{user}) : ();

	$self->{timer} = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
	$self->{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', @user, '-d', $node->connstr($dbname),
			'-f', '-'
		],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{timer});
	$self->query('SELECT 1');
	return $self;
}

# Sends statements; finish() waits for them.
sub start
{
	my ($self, $sql) = @_;

	$self->{count}++;
	$self->{timer}->start($PostgreSQL::Test::Utils::timeout_default);
	$self->{in} .= "$sql\n;\n\\echo done $self->{count}\n\\warn done $self->{count}\n";
	$self->{run}->pump_nb;
	return;
}

# What they returned; errors and notices are in $session->{error} then.
sub finish
{
	my ($self) = @_;
	my $done = "done $self->{count}\n";

	while (index($self->{out}, $done) < 0 || index($self->{err}, $done) < 0)
	{
		die "timed out, output so far: $self->{out}$self->{err}" if $self->{timer}->is_expired;
		die "psql ended: $self->{err}" unless $self->{run}->pumpable;
		$self->{run}->pump;
	}
	my $out = substr $self->{out}, 0, index($self->{out}, $done);
	$self->{error} = substr $self->{err}, 0, index($self->{err}, $done);
	$self->{out} = $self->{err} = '';
	$out =~ s/\n\z//;
	return $out;
}

sub query
{
	my ($self, $sql) = @_;

	$self->start($sql);
	return $self->finish;
}

# The first line of the error they end with, '' if they succeed.
sub refused
{
	my ($self, $sql) = @_;

	$self->query($sql);
	return $self->{error} =~ /(?:ERROR|FATAL):  (.*)/ ? $1 : '';
}

sub pid
{
	my ($self) = @_;
	return $self->query('SELECT pg_backend_pid()');
}

# Also for one whose server is gone.
sub quit
{
	my ($self) = @_;

	$self->{in} .= "\\q\n";
	eval { $self->{run}->finish; 1 } or $self->{run}->kill_kill;
	return;
}

package PresenceTest::Listener;

use strict;
use warnings FATAL => 'all';

use JSON::PP;

our @ISA = ('PresenceTest::Session');

sub new
{
	my ($class, $node, $dbname, $channel) = @_;
	my $self = $class->SUPER::new($node, $dbname);

	@$self{qw(node dbname payloads decoded told applied resyncs members)} = ($node, $dbname, [], [], 0, 0, 0, {});
	$channel //= 'presence';
	$self->query("LISTEN $channel");
	return $self;
}

# All payloads so far; what was committed before the call is among them.
sub payloads
{
	my ($self) = @_;

	# a worker sends what is in its queue a moment after the commit
	PresenceTest::wait_until('the queue to be empty', sub {
		return $self->ask('SELECT coalesce(queued, 0) FROM presence.stats') =~ /^0$/m;
	});
	return $self->arrived;
}

# All payloads that have come by now.
sub arrived
{
	my ($self) = @_;

	$self->ask('SELECT 1');
	return @{ $self->{payloads} };
}

# A query, and what psql says of notifications: the server sends them before the answer, psql shows them after it.
sub ask
{
	my ($self, $sql) = @_;
	my $out = $self->query("$sql;\nSELECT 1");

	push @{ $self->{payloads} }, $1
	  while $out =~ /^Asynchronous notification "[^"]+" with payload "(.*)" received from/mg;
	return $out;
}

# The same, decoded; each once, since that takes its time.
sub events
{
	my ($self) = @_;
	my @payloads = $self->payloads;
	my $json = JSON::PP->new->utf8;

	push @{ $self->{decoded} }, map { $json->decode($_) } @payloads[ scalar(@{ $self->{decoded} }) .. $#payloads ];
	return @{ $self->{decoded} };
}

# Reads the rooms; what a listener does after LISTEN, and at a resync.
sub read_rooms
{
	my ($self) = @_;

	$self->{members} = { map { split /\|/ } split /\n/,
		$self->{node}->safe_psql($self->{dbname}, "SELECT id, book_id || ' ' || user_id FROM presence.online") };
	return;
}

# One test: a listener that read the rooms once, and goes by its events since, comes to know
# what is in the table. It need not be so at once: leases end meanwhile, which is told by a worker or,
# where there is none, by a sweep.
sub knows_all
{
	my ($self, $name) = @_;
	my $is_plain = $self->{node}->safe_psql($self->{dbname}, 'SHOW shared_preload_libraries') !~ /presence/;
	my ($knows, $is);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $known = eval {
		PresenceTest::wait_until($name, sub {
			$self->{node}->safe_psql($self->{dbname}, 'SELECT presence.sweep()') if $is_plain;
			$knows = join ', ', $self->follow;
			$is = $self->{node}->safe_psql($self->{dbname},
				q{SELECT string_agg(book_id || ' ' || user_id, ', ' ORDER BY (book_id || ' ' || user_id) COLLATE "C")
				  FROM presence.online});
			return $knows eq $is;
		});
		1;
	};
	return Test::More::ok($known, $name) || Test::More::diag("it knows: $knows\nthere are: $is");
}

# Applies the events that have come; the members it knows then, as "room user".
sub follow
{
	my ($self) = @_;
	my @payloads = $self->arrived;
	my $json = JSON::PP->new->utf8;

	for my $event (map { $json->decode($_) } @payloads[ $self->{applied} .. $#payloads ])
	{
		my ($kind, $id) = @$event{qw(event presence_id)};

		if ($kind eq 'resync')
		{
			$self->{resyncs}++;
			$self->read_rooms;
		}
		$self->{members}{$id} = "$event->{book_id} $event->{user_id}" if $kind eq 'member_added';
		delete $self->{members}{$id} if $kind eq 'member_removed';
	}
	$self->{applied} = @payloads;
	return sort values %{ $self->{members} };
}

# What came since the last call, as "event user reason, ..."; waits for n events.
sub news
{
	my ($self, $n) = @_;
	my @events;

	PresenceTest::wait_until("$n events",
		sub { @events = $self->events; @events >= $self->{told} + $n; });
	@events = @events[ $self->{told} .. $#events ];
	$self->{told} += @events;
	return join ', ', map { join ' ', $_->{event}, $_->{user_id} // (), $_->{reason} // () } @events;
}

1;
