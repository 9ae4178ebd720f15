# The demo, as somebody without a terminal runs it: the app answers, readers come, the gateway
# speaks, and at the end nothing is left. The second time nothing is built again.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use Test::More;
use Time::HiRes qw(time sleep);

my $tmp = $ENV{TMPDIR} // '/tmp';
my ($demo, $out);

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

# Starts it; returns the address that it prints.
sub start_demo
{
	my ($which) = @_;
	my $start = time;

	$out = '';
	$demo = IPC::Run::start([ 'scripts/demo' ], '<', \undef, '>&', \$out);
	ok(comes(900, sub { $out =~ m{The reading app is at (http://\S+:\d+); } || !$demo->pumpable }) && $out =~ m{is at (http://\S+?);},
		"$which: prints its address") or diag($out);
	my $url = $1 // 'http://127.0.0.1:1';
	note(sprintf '%s: after %d s', $which, time - $start);
	like(qx(curl -s $url/dev/presence-test), qr/<html/, "$which: the page is there");
	return;
}

sub end_demo
{
	my ($which) = @_;
	my $processes = '';

	$demo->signal('TERM');
	ok(comes(60, sub { !$demo->pumpable }), "$which: ends when it is told to");
	$demo->finish;
	is_deeply([ glob "$tmp/presence-demo.*" ], [], "$which: leaves no file");
	comes(20, sub { ($processes = qx(pgrep -af '[p]resence-demo[.]')) eq '' });
	is($processes, '', "$which: and no process");
	return;
}

start_demo('first');
my ($socket) = glob "$tmp/presence-demo.*/socket";
my $psql = (glob "$tmp/presence-demo.*/install")[0] . qx(${\ ($ENV{PG_CONFIG} // "pg_config")} --bindir);
chomp $psql;
$psql .= "/psql";
ok(comes(60, sub { qx($psql -h $socket -U postgres -XAtc "SELECT count(*) > 0 FROM presence.online" reading) =~ /t/ }), 'readers come');
end_demo('first');

start_demo('again');
unlike($out, qr/installing|building the app/, 'again: what was built is built');
end_demo('again');
done_testing();
