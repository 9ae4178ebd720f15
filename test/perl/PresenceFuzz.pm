# Calls of SQL functions with arguments that nobody would think of: for each type, values that are
# usual, at a limit, beyond it, or nonsense. What is chosen comes from Perl's rand, so from its seed.
package PresenceFuzz;

use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256_hex);
use Exporter 'import';

our @EXPORT = qw(fuzz_types fuzz_call);

my ($encoding, $handles, $length) = ('UTF8', [], 2);

sub pick { return $_[ int(rand(@_)) ]; }

sub quote
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	$text =~ s/\\/\\\\/g;
	return "E'$text'";
}

# Bytes: in SQL_ASCII any but zero, in UTF-8 what is valid there.
sub bytes
{
	my ($length) = @_;
	my @parts = $encoding eq 'SQL_ASCII' ? map { chr } 1 .. 255
	  : ("\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x99\x82", "\xCC\x81", "\xEF\xBF\xBF", "\xE2\x80\xAE", map { chr } 1 .. 127);
	return join '', map { pick(@parts) } 1 .. $length;
}

my @json = ('{}', '[]', 'null', '"x"', '1e400', '{"name": "Ann", "avatarUrl": "https://x"}', '{"a": {"a": {"a": [1, null, true]}}}', '{"a": "\u0000"}',
	'{"user_id": 5}', '{"a": "\ud83d\ude42"}', '{', '{"' . ('k' x 1018) . '":1}', '{"' . ('k' x 1019) . '":1}', '{"auth_key": "x"}', '{"n": 1e131071}',
	('[' x 500) . (']' x 500));
my @webhook = ('{"time_ms": 1, "events": []}', '{"events": [{"name": "member_added", "channel": "presence-room-b", "user_id": "ann"}]}',
	'{"events": [{"name": "channel_vacated", "channel": "presence-room-b"}]}', '{"events": [null, 1, {"name": 7, "channel": {}, "user_id": []}]}',
	'{"events": {}}', '{"events": [{"name": "member_removed", "channel": "presence-room-' . ('b' x 200) . '", "user_id": ""}]}');
my @texts = ('', ' ', 'ann', 'ben', 'b', 'moby-dick', 'tab-1', '1', 'a-key', '1234.5678', '1234.5678:x', 'private-user-ann', 'presence-room-b',
	'private-encrypted-user-ann', 'private-encrypted-x', 'private-watch-room-b', 'cache-x', 'presence-cache-room-b', '@1;chat', '#server-to-user-1', 'GET', 'POST',
	'/apps/1/channels', '/a?b=c', 'Europe/Berlin', 'XYZ+99', 'gateway-1', "'", '\\', '%s%n', '$1', "\n", 'presence-', @json, @webhook);

my %values = (
	text => sub {
		my $length = pick(1, 10, 127, 128, 129, 149, 150, 151, 163, 164, 165, rand() < 0.02 ? 200000 : 300);
		return quote(rand() < 0.7 ? pick(@texts) : rand() < 0.5 ? pick('a', '-', ' ', '"') x $length : bytes($length));
	},
	boolean => sub { pick('true', 'false') },
	integer => sub { pick(-2147483648, -1, 0, 1, 2, 10, 100, 3661, 2147483647, int(rand(1e6))) },
	bigint => sub { pick('-9223372036854775808', -1, 0, 1, 42, '9223372036854775807', @$handles, int(rand(1e12))) },
	interval => sub {
		"'" . pick('10 min', '1 h', '1 day', '1 day 1 microsecond', '0', '-1 s', '1 month', '-1 month 40 days', '999 ms', '178000000 years', '-178000000 years',
			'2147483647 days', '3 h') . "'";
	},
	'timestamp with time zone' => sub {
		pick("'infinity'", "'-infinity'", "'epoch'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999+00'", 'now()', "now() - interval '1 d'",
			"now() + interval '1 d'", "'2026-03-29 02:30 Europe/Berlin'");
	},
	jsonb => sub { quote(pick(@json)) },
	regrole => sub { pick("'somebody'", "'0'", "'4294967295'", "'pg_monitor'", "'nobody-there'") },
	'"char"' => sub { "'x'" },
	bytea => sub { pick("''", "'\\x00ff'") });

# What is right for an argument, by its name in the singular: else few calls would get beyond their checks.
my %right = (
	user_id => [ 'ann', 'ben', 'cy', "J\xC3\xBCrgen" ],
	book_id => [ 'b', 'b', 'moby-dick', '@1;chat' ],
	connection_id => [ '', 'tab-1', 'tab-2' ],
	user_info => [ '{}', '{"name": "Ann"}' ],
	ttl => [ '10 min', '1 h' ],
	socket_id => ['1234.5678'],
	channel_name => [ 'private-user-ann', 'presence-room-b', 'private-encrypted-user-ann', 'private-watch-room-b' ],
	channel => [ 'cache-x', 'private-cache-y', 'presence-cache-room-b', 'x', 'private-y' ],
	channel_data => ['{"user_id":"ann"}'],
	app_id => ['1'],
	app_key => ['a-key'],
	method => [ 'GET', 'POST' ],
	path => ['/apps/1/channels'],
	param => ['{"filter_by_prefix": "presence-"}'],
	gateway => [ 'gateway-1', 'gateway-2' ],
	name => [ 'client_event', 'channel_occupied', 'subscription_count' ],
	event => ['{"name": "client_event", "channel": "x"}'],
	message => ['{"event": "x"}'],
	subscription => [ 0, 1, 7 ],
	time_zone => [ 'UTC', 'Europe/Berlin' ],
	max => [10],
	capacity => [100]);

# fuzz_types(encoding, [handles]): of the database that is called, and what names connections there
sub fuzz_types
{
	($encoding, $handles) = @_;
	return sort keys %values;
}

# An expression of the type, for an argument of that name. A type that is unknown here is an error: teach it.
sub value
{
	my ($type, $name) = @_;
	return "NULL::$type" if rand() < 0.06;
	my ($element) = $type =~ /^(.*)\[\]$/;
	return array($element, $name =~ s/s\z//r) if $element;
	return quote(pick(@{ $right{$name} })) . "::$type" if $right{$name} && rand() < 0.85;
	my $values = $values{$type} // die "no values for the type $type";
	return '(' . $values->() . ")::$type";
}

sub array
{
	my ($type, $name) = @_;
	my $kind = rand() * 3;
	return "array_fill(" . value($type, $name) . ', ARRAY[' . pick(1000, 20000) . '])' if $kind < 0.01;
	return "array_fill(" . value($type, $name) . ', ARRAY[2, 2])' if $kind < 0.05;
	return "array_fill(" . value($type, $name) . ', ARRAY[2], ARRAY[-5])' if $kind < 0.08;
	return "'{}'::${type}[]" if $kind < 0.15;
	return 'ARRAY[' . join(', ', map { value($type, $name) } 1 .. (rand() < 0.95 ? $length : pick(1, 2, 10))) . "]::${type}[]";
}

# What Pusher's documentation has of an event, and what it has not.
my %event = (
	name => [qw(member_added member_removed channel_occupied channel_vacated client_event)],
	channel => [ qw(presence-room-b presence-room-moby-dick presence-room- presence- b), map { 'presence-room-' . 'x' x $_ } 149, 150, 151 ],
	user_id => [ 'ann', 'ben', '', '7', 'x' x 128, 'x' x 129 ]);

sub webhook_event
{
	my @pairs = map {
		my $string = rand() < 0.9 ? pick(@{ $event{$_} }) : pick('\u0000', '\ud800', '\u00e4', '\\', bytes(3));
		qq("$_": ) . (rand() < 0.9 ? qq("$string") : pick('null', -1, '1e400', '{}', '[]'))
	} grep { rand() < 0.9 } sort keys %event;
	return '{' . join(', ', @pairs, rand() < 0.1 ? '"name": "member_added"' : ()) . '}';
}

# A body of a webhook, or one with a few characters changed.
sub webhook_body
{
	my $events = join ', ', map { webhook_event() } 1 .. pick(1, 2, 30);
	my $body = rand() < 0.5 ? pick(@webhook, @json, bytes(50)) : '{"time_ms": ' . pick(1, 1700000000000, '1e400', '"x"', 'null') . qq(, "events": [$events]});

	return $body if rand() < 0.6 || $body =~ /[^\x01-\x7f]/;
	for (1 .. pick(1, 1, 3))
	{
		substr($body, int(rand(1 + length $body)), pick(0, 1, 1, 8)) = pick('', '"', '{', '}', '[', ']', ',', ':', '\\', '\\u0000', 'null', '-', '1e999', bytes(1));
		last if $body =~ /[^\x01-\x7f]/;
	}
	return $body;
}

# A webhook that is signed as it should be.
sub webhook
{
	my $body = webhook_body();
	return join ', ', quote('a-key'), quote(hmac_sha256_hex($body, 'a-secret')), quote($body);
}

# fuzz_call({ name, types => [...], names => [...], defaults => n }): the call, with some of its defaults left out.
sub fuzz_call
{
	my ($function) = @_;
	my @types = @{ $function->{types} };
	return "$function->{name}(" . webhook() . ')' if $function->{name} =~ /_webhook$/ && rand() < 0.7;
	my $n = @types - int(rand($function->{defaults} + 1));
	$length = pick(1, 2, 2, 3, 10);
	return "$function->{name}(" . join(', ', map { value($types[$_], $function->{names}[$_] // '') } 0 .. $n - 1) . ')';
}

1;
