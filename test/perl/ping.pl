# ping.pl ADDRESS PORT KEY: a client of Pusher's without a library. Connects to an app of a gateway and
# sends a pusher:ping; prints the events that come, up to pusher:pong.
use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;

my ($address, $port, $key) = @ARGV;
my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 10) or die "$address:$port: $!\n";
local $SIG{ALRM} = sub { die "no answer\n" };
alarm 10;

print $socket "GET /app/$key?protocol=7&client=test HTTP/1.1\r\nHost: $address:$port\r\nUpgrade: websocket\r\n",
	"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
$socket->flush;
my $status = <$socket> // '';
die $status if $status !~ / 101 /;
while (<$socket>) { last if /^\r\n$/ }

# Short frames only; the mask is of zeroes.
my $ping = '{"event":"pusher:ping","data":{}}';
print $socket pack('CCN', 0x81, 0x80 | length $ping, 0), $ping;
$socket->flush;
for (;;)
{
	my ($head, $text);
	read($socket, $head, 2) == 2 or die "the connection was closed\n";
	my $length = unpack('xC', $head) & 0x7f;
	if ($length == 126)
	{
		read $socket, $head, 2;
		$length = unpack 'n', $head;
	}
	read $socket, $text, $length;
	my ($event) = $text =~ /"event":"([^"]+)"/ or next;
	print "$event\n";
	exit if $event eq 'pusher:pong';
}
