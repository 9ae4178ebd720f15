# The demo in psql, as somebody without a terminal runs it: what it must show, and that it leaves nothing.
use strict;
use warnings FATAL => 'all';

use Test::More;

my $tmp = $ENV{TMPDIR} // '/tmp';
my $start = time;
my $out = qx(scripts/demo-sql 2>&1 </dev/null);
is($?, 0, 'ends well') or diag($out);
cmp_ok(time - $start, '<', 120, 'within two minutes');
my @events = $out =~ /^\s*NOTIFY presence,\s+(\{"event":.*\})$/mg;
is(join(' ', map { /"event":"(\w+)"/ } @events), 'member_added member_added member_removed',
	'two readers, three tabs: two joins and one leave are told');
like($events[2] // '', qr/"user_id":"ben".*"reason":"timeout"/, 'the tab that was killed times out');
my ($seconds) = $out =~ /gone ([\d.]+) s after the kill/;
cmp_ok($seconds // 99, '<=', 7.5, 'a lease of 5 s after its last heartbeat');
like($out, qr/ann .*\|\s+2$/m, 'the second tab is a connection, not a member');
my @left = glob "$tmp/presence-tour.*";
is_deeply(\@left, [], 'leaves no file');
my $processes = '';
for (1 .. 50)
{
	$processes = qx(pgrep -af '[p]resence-demo[.]');
	last if $processes eq '';
	select undef, undef, undef, 0.1;
}
is($processes, '', 'and no process');
done_testing();
