# A handle of before a restart or a crash never names somebody's connection of after, also when
# what gave it was not yet on disk (synchronous_commit = off); nobody stays for ever.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PresenceTest;

my ($node, $app, $listener);

sub connect_anew
{
	$app = session($node, 'postgres');
	$listener = listener($node, 'postgres');
	return;
}

# Handles of members of a room, as an array's text; spread: of so many rooms, $room-0 and so on. A handle
# tells its room's lock, so that those of two rooms seldom meet.
sub handles
{
	my ($room, $count, $spread) = @_;
	my $rooms = $spread ? "ARRAY(SELECT '$room-' || i % $spread FROM generate_series(1, $count) AS i)" : "array_fill('$room'::text, ARRAY[$count])";
	return $app->query("SELECT array_agg(connection ORDER BY ordinality) FROM presence.join_rooms(
		ARRAY(SELECT 'u' || i FROM generate_series(1, $count) AS i), $rooms, NULL, NULL, '1 h')");
}

# New members after the server has come again: the old handles are none of theirs.
sub strangers
{
	my ($name, $old) = @_;

	my $room = "after $name" =~ tr/ /-/r;
	my $new = handles($room, 1000, 64);
	is($app->query("SELECT count(*) FROM unnest('$old'::bigint[]) AS o JOIN unnest('$new'::bigint[]) AS n ON o = n"), '0', "$name: no handle twice");
	is($app->query("SELECT presence.touch('$old') = '$old'::bigint[]"), 't', "$name: old ones are unknown");
	is($app->query("SELECT presence.drop_connections('$old')"), '0', "$name: and drop nobody");
	is($app->query("SELECT presence.touch('$new')"), '{}', "$name: new ones are known");
	is($app->query("SELECT sum(presence.member_count('$room-' || i)) FROM generate_series(0, 63) AS i"), '1000', "$name: and all there");
	return;
}

for my $plain (0, 1)
{
	my $how = $plain ? 'plain' : 'preloaded';

	# the WAL writer is lazy, so that a crash takes what was committed a moment ago
	$node = presence_node("handles_$plain", plain => $plain,
		conf => "wal_writer_delay = '10s'\nwal_writer_flush_after = 0\nsynchronous_commit = off\npresence.timeout = '8 s'");
	connect_anew();
	my $lasting = handles('lasting', 5);
	$app->query('CHECKPOINT');

	# A crash, of which nothing of the last moment is left, unless somebody else's commit wrote it
	my $lost = '';
	for my $round (1 .. 3)
	{
		$lost = handles("lost-$round", 1000, 64);
		$_->quit for $app, $listener;
		$node->stop('immediate');
		$node->start;
		connect_anew();
		strangers("$how crash $round", $lost);
		is($app->query("SELECT presence.touch('$lasting') = '$lasting'::bigint[]"), 't', "$how crash $round: nor are those of before")
		  if $round == 1;
	}

	# Who was there and is not joined again goes after one lease.
	if ($plain) { wait_until('a sweep', sub { $app->query('SELECT presence.sweep()') ne '0' }) }
	wait_for_closed($node, 'postgres', 'lasting', 5);
	is($app->query("SELECT DISTINCT leave_reason FROM presence.room_presence WHERE book_id = 'lasting'"), 'timeout', "$how: who was there goes after a lease");

	# A restart in peace
	my $old = handles('peace', 20);
	$_->quit for $app, $listener;
	$node->restart;
	connect_anew();
	strangers("$how restart", $old) unless $plain;
	is($app->query("SELECT count(*) FROM presence.online WHERE book_id = 'peace'"), '20', "$how restart: throws nobody out at once");
	is($app->query("SELECT added, joined_at < now() FROM presence.join_room('u1', 'peace', ttl => '1 h')"), 'f|t', "$how restart: who is joined again has not left");
	if (!$plain)
	{
		is($app->query("SELECT presence.touch_room('u2', 'peace'), (presence.poll_room('u3', 'peace')).joined"), 'f|f', "$how restart: the others are told to join");
		wait_for_closed($node, 'postgres', 'peace', 19);
		is($app->query("SELECT user_id, connections FROM presence.room_members('peace')"), 'u1|1', "$how restart: or go after a lease");
	}

	# Numbers that nobody gave
	is($app->query("SELECT presence.touch('{0,-1,9223372036854775807,-9223372036854775808}')"),
		'{0,-1,9223372036854775807,-9223372036854775808}', "$how: made-up handles are unknown");
	is($app->query("SELECT presence.drop_connections('{0,-1,9223372036854775807,-9223372036854775808}')"), '0', "$how: and drop nobody");
	my $seen = $app->query("SELECT connection FROM presence.join_room('ann', 'guess', ttl => '1 h')");
	is($app->query("SELECT count(*) FROM generate_series($seen - 3, $seen + 3) AS h WHERE presence.touch(ARRAY[h]) = '{}' AND h > $seen"), '0',
		"$how: the next handle is nobody's yet");

	$_->quit for $app, $listener;
	$node->stop;
	nothing_crashed($node);
}
done_testing();
