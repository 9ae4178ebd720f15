# The demo, as somebody without a terminal runs it: the app answers, readers come, the gateway
# speaks, and at the end nothing is left.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use Test::More;
use Time::HiRes qw(time sleep);

my $tmp = $ENV{TMPDIR} // '/tmp';
my ($out, $start) = ('', time);
my $demo = IPC::Run::start([ 'scripts/demo' ], '<', \undef, '>&', \$out);

# Polls until the code returns true; false after a while.
sub comes
{
	my ($limit, $code) = @_;
	my $end = time + $limit;

	until ($code->())
	{
		return 0 if time > $end;
		sleep 0.2;
		$demo->pump_nb;
	}
	return 1;
}

ok(comes(240, sub { $out =~ m{The reading app is at (http://\S+:\d+); } || !$demo->pumpable }) && $out =~ m{is at (http://\S+?);},
	'prints its address') or diag($out);
my $url = $1 // 'http://127.0.0.1:1';
note(sprintf 'after %d s', time - $start);
like(qx(curl -s $url/dev/presence-test), qr/<html/, 'the page is there');
my ($socket) = glob "$tmp/presence-demo.*/socket";
my $psql = (glob "$tmp/presence-demo.*/install")[0] . qx(${\ ($ENV{PG_CONFIG} // "pg_config")} --bindir);
chomp $psql;
$psql .= "/psql";
ok(comes(60, sub { qx($psql -h $socket -U postgres -XAtc "SELECT count(*) > 0 FROM presence.online" reading) =~ /t/ }), 'readers come');

$demo->signal('TERM');
ok(comes(30, sub { !$demo->pumpable }), 'ends when it is told to');
$demo->finish;
is_deeply([ glob "$tmp/presence-demo.*" ], [], 'leaves no file');
my $processes = '';
comes(10, sub { ($processes = qx(pgrep -af '[p]resence-demo[.]')) eq '' });
is($processes, '', 'and no process');
done_testing();
