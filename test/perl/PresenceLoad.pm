# Random joins and leaves of many sessions at once: tabs, batches, savepoints, rollbacks,
# in all isolation levels. Few users, few rooms, short leases: everybody meets everybody.
package PresenceLoad;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_load);

my %script = (
	'join' => q{SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab, ttl => '2 s');},
	'second' => q{SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab,
		jsonb_build_object('n', :tab::int), :tab::int % 2 = 0);},
	'leave' => q{SELECT presence.leave_room('u' || :user, 'r' || :room, 't' || :tab);},
	'leave_all' => q{SELECT presence.leave_room('u' || :user, 'r' || :room);},
	'touch' => q{SELECT presence.touch_room('u' || :user, 'r' || :room, 't' || :tab);},
	'poll' => q{SELECT presence.poll_room('u' || :user, 'r' || :room, 't' || :tab);},
	'drop' => q{SELECT presence.drop_connections(array_agg(connection))
		FROM presence.join_room('u' || :user, 'r' || :room, 'd' || :tab);},
	'batch' => q{SELECT count(*) FROM presence.join_rooms(
		ARRAY['u' || :user, 'u' || :tab, 'u' || :user], ARRAY['r' || :room, 'r' || :room, 'r1'],
		ARRAY['b' || :tab, 'b1', 'b2'], NULL, '2 s');},
	'sweep' => q{SELECT presence.sweep();},
	'forget' => q{SELECT presence.forget_user('u' || :user);},
	'rollback' => q{BEGIN;
		SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab);
		SELECT presence.leave_room('u' || :user, 'r' || :room);
		ROLLBACK;},
	'savepoint' => q{BEGIN;
		SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab);
		SAVEPOINT s;
		SELECT presence.leave_room('u' || :user, 'r' || :room);
		ROLLBACK TO s;
		SAVEPOINT t;
		SELECT presence.touch_room('u' || :user, 'r' || :room, 't' || :tab);
		RELEASE t;
		COMMIT;},
	'serializable' => q{BEGIN ISOLATION LEVEL SERIALIZABLE;
		SELECT presence.join_room('u' || :user, 'r' || :room, 't' || :tab);
		SELECT presence.leave_room('u' || :user, 'r' || :room, 't' || :tab);
		COMMIT;},
	'repeatable' => q{BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT presence.member_count('r' || :room);
		SELECT presence.leave_room('u' || :user, 'r' || :room, 't' || :tab);
		COMMIT;});
my %weight = (join => 30, second => 10, leave => 20, touch => 20, forget => 1, sweep => 1);

# start_load(node, seconds, sessions): a pgbench on the database postgres, as an IPC::Run
# handle; what it prints goes to the two references.
sub start_load
{
	my ($node, $seconds, $sessions, $out, $err) = @_;
	my @files;

	for my $name (sort keys %script)
	{
		my $file = $node->basedir . "/$name.pgbench";
		open my $handle, '>', $file or die "could not write $file: $!";
		print $handle "\\set user random(1, 6)\n\\set room random(1, 3)\n\\set tab random(1, 3)\n$script{$name}\n";
		close $handle;
		push @files, '-f', $file . '@' . ($weight{$name} // 5);
	}
	# serialization failures and deadlocks are retried, so what is left is an error
	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', $sessions, '-j', '2', '-T', $seconds, '--max-tries=1000', '-M', 'prepared',
			'--failures-detailed', @files, $node->connstr('postgres') ],
		'>', $out, '2>', $err, IPC::Run::timeout(10 * $PostgreSQL::Test::Utils::timeout_default));
}

1;
