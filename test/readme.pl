# Runs what a reader of README.md would: its shell commands, with stand-ins for
# those that need a machine of one's own (sudo, apt-get, service), on a private
# cluster without the extension; then its SQL, whose output must be the README's.
# Arguments: a directory for everything, and that of the PostgreSQL programs.
use strict;
use warnings FATAL => 'all';

use File::Path qw(make_path);
use Test::More;

my ($work, $bindir) = @ARGV;
my $dir = "$work/readme";
make_path("$dir/bin");

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!";
	local $/;
	return scalar <$in>;
}

# A program in $dir/bin that stands in for the real one.
sub stand_in
{
	my ($name, $script) = @_;
	open my $out, '>', "$dir/bin/$name" or die $!;
	print $out "#!/bin/bash\nset -eu\n$script\n";
	close $out;
	chmod 0755, "$dir/bin/$name";
	return;
}

my $readme = slurp('README.md');
my %blocks;
push @{ $blocks{$1} }, $2 while $readme =~ /^```(\w+)\n(.*?)^```$/msg;

$ENV{PGHOST} = $dir;
$ENV{PGUSER} = 'postgres';
delete $ENV{PGDATABASE};
$ENV{PATH} = "$dir/bin:$bindir:$ENV{PATH}";
my $make = qx(sh -c 'command -v make');
chomp $make;
system("$bindir/initdb -D $dir/data -U postgres -A trust -N >/dev/null") == 0 or die 'initdb';
system("printf '%s\\n' \"unix_socket_directories = '$dir'\" \"listen_addresses = ''\" >>$dir/data/postgresql.conf");
system("$bindir/pg_ctl -D $dir/data -l $dir/log -w -s start") == 0 or die 'pg_ctl';
END { system("$bindir/pg_ctl -D $dir/data -m immediate -w -s stop") if $dir }

stand_in('sudo', '[ "$1" != -u ] || shift 2; exec "$@"');
stand_in('apt-get', 'for word in "$@"; do case $word in -*|update|install) ;; *) apt-cache show "$word" >/dev/null;; esac; done');
stand_in('service', "[ \"\$*\" = 'postgresql restart' ]; exec $bindir/pg_ctl -D $dir/data -l $dir/log -w -s restart");
stand_in('pg_lsclusters', 'echo 15 main 5432 online');
stand_in('make', "case \" \$* \" in *' demo '*|*' test '*) exec $make -n \"\$@\";;
	*' install '*) exec $make \"\$@\" DESTDIR=$work/install with_llvm=no;; *) exec $make \"\$@\" with_llvm=no;; esac");

for my $block (@{ $blocks{sh} })
{
	my $out = qx(bash -e -u -o pipefail -c '${\ ($block =~ s/'/'\\''/gr)}' 2>&1);
	is($?, 0, 'runs: ' . join '; ', split /\n/, $block) or diag($out);
}

# The SQL is one session; the events come when they come.
sub without_events
{
	my ($text) = @_;
	my @events = $text =~ /^Asynchronous notification.*$/mg;
	$text =~ s/^Asynchronous notification.*\n//mg;
	s/\d{4}-\d\d-\d\dT[\d:.]+Z/TIME/, s/PID \d+/PID/, s/"mac":"[0-9a-f]{32}"/"mac":"MAC"/ for @events;
	$text =~ s/\b\d{16}\b/HANDLE/g;
	$text =~ s/[ ]+$//mg;
	$text =~ s/\n{2,}/\n/g;
	return ($text, @events);
}

open my $sql, '>', "$dir/first.sql" or die $!;
print $sql @{ $blocks{sql} }, "\\echo end\n", "SELECT pg_sleep(0.1);\n" x 20;
close $sql;
my $out = qx(psql -X -d reading -f $dir/first.sql 2>&1);
my ($got, @got_events) = without_events($out);
my ($expected, @expected_events) = without_events(join '', @{ $blocks{text} });
$got =~ s/^end\n.*//ms;
$got =~ s/^(?:CREATE EXTENSION|LISTEN)\n//mg;
is($got, $expected, 'the SQL prints what the README shows');
is_deeply(\@got_events, \@expected_events, 'and so do the events');
cmp_ok(scalar(@got_events), '>=', 2, 'a first member_added, and more');

# Its links lead somewhere.
my @missing = grep { !-e } map { s/#.*//r } grep { !/^https?:/ } $readme =~ /\]\(([^)#][^)]*)\)/g;
is_deeply(\@missing, [], 'every link of the README leads to a file');
done_testing();
