# The secret of events is made by who needs it first. If his transaction is rolled back, so is the secret, and what
# he sends next is signed by the one that others made.
use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256_hex);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my $node = presence_node('secret', plain => 1);

# One test: the last payload that a listener got is signed by the key that gateways get.
sub last_is_genuine
{
	my ($at, $listener, $name) = @_;
	my $key = pack 'H*', $at->safe_psql('postgres', "SELECT encode(presence.event_key(), 'hex')");
	my ($told, $mac) = ($listener->arrived)[-1] =~ /\A(.*),"mac":"([0-9a-f]{32})"\}\z/;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($mac, substr(hmac_sha256_hex($told, $key), 0, 32), $name);
}

my $app;
my $listener = listener($node, 'postgres');
for my $undo ('ROLLBACK', 'ROLLBACK TO s; COMMIT')
{
	$node->safe_psql('postgres', 'TRUNCATE presence.event_secret');
	$app = session($node, 'postgres'); # one that has read none
	$app->query("BEGIN; SAVEPOINT s; SELECT presence.join_room('ann', 'b'); $undo");
	$app->query("SELECT presence.join_room('ben', 'b'); SELECT presence.leave_room('ben', 'b')");
	last_is_genuine($node, $listener, "a session, after $undo");
	$app->quit;
}
$listener->quit;
$node->stop;

nothing_crashed($node);
done_testing();
