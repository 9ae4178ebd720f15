# A lease that ends while a transaction is about to renew it: reads leave the member out, and the commit brings him
# back. Who polls and has seen the list without him is told.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('lapsed');
my $app = session($node, 'postgres');
my $reader = session($node, 'postgres');

for my $case ([ 'another tab', 'tab-2', '1 h' ], [ 'the same tab', 'tab-1', '1 s' ], [ 'another ttl', 'tab-1', '1 h' ])
{
	my ($name, $tab, $ttl) = @$case;
	my $room = "b-$tab-" . substr $ttl, 2;
	my $poll = "presence.poll_room_changes('reader', '$room', ''";
	$reader->query("SELECT presence.join_room('zed', '$room', ttl => '1 h'); SELECT 1 FROM $poll)");
	$reader->query("SELECT presence.join_room('ann', '$room', 'tab-1', ttl => '1 s')");
	$app->query("BEGIN; SELECT presence.join_room('ann', '$room', '$tab', ttl => '$ttl')");
	wait_until('the lease to end', sub { $reader->query("SELECT count(*) FROM presence.room_members('$room')") eq '1' });
	my $known = $reader->query("SELECT version FROM $poll)");
	$app->query('COMMIT');
	is($reader->query("SELECT joined_at < now() - interval '1 s' FROM presence.room_members('$room') WHERE user_id = 'ann'"), 't', "$name: he has not left");
	is($reader->query("SELECT added -> 0 ->> 'user_id' FROM $poll, $known)"), 'ann', "$name: poll_room_changes tells of him");
	is($reader->query("SELECT jsonb_array_length(members) FROM presence.poll_room('reader', '$room', '', $known)"), '2', "$name: and so does poll_room");
}

# A renewal in time changes no list.
$reader->query("SELECT presence.join_room('ann', 'c', 'tab-1', ttl => '1 h')");
my $version = $reader->query("SELECT version FROM presence.poll_room('reader', 'c')");
$reader->query("SELECT presence.join_room('ann', 'c', 'tab-1', ttl => '1 h'); SELECT presence.join_room('ann', 'c', 'tab-2', ttl => '1 h')");
is($reader->query("SELECT version FROM presence.poll_room('reader', 'c')"), $version, 'a renewal in time changes no list');

$_->quit for $app, $reader;
$node->stop;
done_testing();
