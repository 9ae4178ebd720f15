# Runs what a reader of docs/*.md and examples/nextjs/README.md would: each command
# block, in order, on a machine where nothing is set by hand. A page of docs/ has a
# database of its own, and its SQL is one session. The example's README starts a
# gateway and the app, and they answer.
#
# In a page, a comment before a block says what is special about it:
#   <!-- not run: why -->        it can't be, here
#   <!-- stays: URL -->          it runs until it is stopped; the URL answers meanwhile
# Pages without such comments have their exceptions below.
#
# Arguments: a directory for everything, and that of the PostgreSQL programs.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path getcwd);
use File::Path qw(make_path);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

my ($work, $bindir) = @ARGV;
my $root = getcwd();
my $dir = "$work/docs";
make_path("$dir/bin", "$dir/home");

# What can't be run here, by page and the beginning of the block.
my %not_run = (
	'docs/operations.md' => [
		[ qr/cron\.schedule/, 'needs pg_cron' ],
		[ qr/FROM 'pusher-app\.csv'/, 'the file is of the reader' ],
		[ qr/\\watch/, 'goes on until it is stopped' ],
	],
	'docs/gateway.md' => [
		[ qr/apt-get|make|systemctl|presence-gateway|GATEWAY_/, 'installs and starts services: gateway/test does' ],
		[ qr/pusher-app\.csv/, 'the file is of the reader' ],
	],
);

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!";
	local $/;
	return scalar <$in>;
}

sub spew
{
	my ($file, $text) = @_;
	open my $out, '>', $file or die "$file: $!";
	print $out $text;
	close $out;
	return;
}

# The blocks of a page: language, text, and what is said of it.
sub blocks
{
	my ($page) = @_;
	my @blocks;
	my $text = slurp($page);

	while ($text =~ /(?:<!-- (not run|stays): (.*?) -->\s*\n)?^```(\w+)\n(.*?)^```$/msg)
	{
		my %block = (language => $3, text => $4, said => $1 // '', what => $2 // '');
		for my $exception (@{ $not_run{$page} // [] })
		{
			@block{qw(said what)} = ('not run', $exception->[1]) if !$block{said} && $block{text} =~ $exception->[0];
		}
		push @blocks, \%block;
	}
	return @blocks;
}

sub title
{
	my ($text) = @_;
	my ($first) = grep { !/^\s*(?:#|--|$)/ } split /\n/, $text;
	return substr($first // '', 0, 70);
}

sub free_port
{
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
	return $socket->sockport;
}

# A newcomer's environment: what our own scripts set is not there.
my $port = free_port();
my %newcomer = (
	PATH => "$dir/bin:$ENV{PATH}:$bindir", # pg_config is the machine's
	HOME => "$dir/home",
	LC_ALL => 'C.UTF-8',
	PGPORT => $port, # the server is not at 5432, which may be taken
	PGHOST => 'localhost',
	NEXT_TELEMETRY_DISABLED => 1,
	map { $_ => $ENV{$_} } grep { defined $ENV{$_} } qw(TMPDIR npm_config_registry npm_config_cache),
);
$newcomer{NPM_CONFIG_USERCONFIG} = "$ENV{HOME}/.npmrc" if $ENV{HOME} && -e "$ENV{HOME}/.npmrc";
%ENV = %newcomer;

system("$bindir/initdb -D $dir/data -U postgres -A trust -E UTF8 --no-locale -N >/dev/null") == 0 or die 'initdb';
spew("$dir/data/postgresql.auto.conf",
	"listen_addresses = 'localhost'\nport = $port\nunix_socket_directories = '$dir'\nshared_preload_libraries = 'presence'\nfsync = off\n");
system("$bindir/pg_ctl -D $dir/data -l $dir/log -w -s start") == 0 or die slurp("$dir/log");
my @started;
END
{
	kill 'TERM', map { -$_ } @started;
	waitpid $_, 0 for @started;
	system("$bindir/pg_ctl -D $dir/data -m immediate -w -s stop") if $dir && -e "$dir/data/postmaster.pid";
}

spew("$dir/bin/sudo", "#!/bin/sh\n[ \"\$1\" != -u ] || { export PGUSER=\"\$2\"; shift 2; }\nexec \"\$@\"\n");
chmod 0755, "$dir/bin/sudo";

# Blocks of SQL, in one session; an error is one that the page does not show.
sub run_sql
{
	my ($page, @blocks) = @_;
	my ($name) = $page =~ m{(\w[\w-]*)\.md};
	my $database = 'docs_' . ($name =~ s/-/_/gr);
	my $script = '';

	for my $number (0 .. $#blocks)
	{
		$script .= "\\echo ==$number\n" . ($blocks[$number]{said} eq 'not run' ? '' : $blocks[$number]{text}) . "\n;\nROLLBACK;\n";
	}
	spew("$dir/$name.sql", "SET client_min_messages = error;\n$script\\echo ==end\n");
	local $ENV{PGUSER} = 'postgres';
	system("createdb $database") == 0 or die 'createdb';
	# What a page takes for granted: the reader's own tables and roles.
	my $page_text = slurp($page);
	my @own = map { qq(CREATE TABLE "$_" (id text PRIMARY KEY, name text)) } grep { $page_text !~ /CREATE TABLE "?$_\b/ } qw(user book);
	push @own, map { "CREATE ROLE $_" } grep { $page_text !~ /CREATE ROLE $_\b/ } qw(app reading_app);
	spew("$dir/own.sql", join '', map { "$_;\n" } @own);
	system(qq(psql -qX -v ON_ERROR_STOP=1 -d $database -f $dir/own.sql)) == 0 or die;
	# Others create it themselves, and their page begins with that.
	system(qq(psql -qX -d $database -c 'CREATE EXTENSION presence')) == 0 or die
		unless grep { $_->{text} =~ /^CREATE EXTENSION/m } @blocks;
	my $out = qx(psql -X -d $database -f $dir/$name.sql 2>&1);
	system(qq(psql -qXAt -d postgres -c "SELECT format('DROP OWNED BY %I; DROP ROLE %I;', rolname, rolname) FROM pg_roles WHERE oid >= 16384" | grep -v ^\$ >$dir/drop.sql; psql -qX -d $database -f $dir/drop.sql >/dev/null 2>&1));
	for my $number (0 .. $#blocks)
	{
		my $block = $blocks[$number];
		SKIP:
		{
			skip "$page: " . title($block->{text}) . ": $block->{what}", 1 if $block->{said} eq 'not run';
			my ($said) = $out =~ /^==$number\n(.*?)^==/ms;
			my @errors = grep { !/there is no transaction/ && !shown($page, $_) } ($said // 'ERROR: it did not get there') =~ /^.*(?:ERROR|FATAL|invalid command).*$/mg;
			is("@errors", '', "$page: " . title($block->{text})) or diag($said // $out);
		}
	}
	return;
}

# Whether the page shows this error.
sub shown
{
	my ($page, $error) = @_;
	my ($message) = $error =~ /ERROR:\s+(?:\w{5}: )?(.*)/ or return 0;
	return index(slurp($page), $message) >= 0;
}

for my $page (sort glob 'docs/*.md')
{
	my @sql = grep { $_->{language} eq 'sql' } blocks($page);
	run_sql($page, @sql) if @sql;
	for my $block (grep { $_->{language} eq 'sh' } blocks($page))
	{
		SKIP:
		{
			skip "$page: " . title($block->{text}) . ": $block->{what}", 1 if $block->{said} eq 'not run';
			run_sh($page, $block, $root);
		}
	}
}

# A shell block; what stays goes on in a group of its own.
sub run_sh
{
	my ($page, $block, $in) = @_;
	my $title = "$page: " . title($block->{text});
	my $script = "$dir/block.sh";

	spew($script, "set -eu -o pipefail\ncd '$in'\n$block->{text}");
	if ($block->{said} ne 'stays')
	{
		my $out = qx(bash $script 2>&1 </dev/null);
		is($?, 0, $title) or diag($out);
		return;
	}
	my $pid = fork() // die $!;
	if ($pid == 0)
	{
		setpgrp;
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$dir/stays.log";
		open STDERR, '>&', \*STDOUT;
		exec 'bash', $script;
	}
	push @started, $pid;
	my ($end, $code) = (time + 120, '');
	while (time < $end && $code ne '200')
	{
		sleep 0.3;
		$code = qx(curl -sLo $dir/answer -w '%{http_code}' '$block->{what}');
	}
	is($code, '200', "$title: $block->{what} answers") or diag(slurp("$dir/stays.log"));
	return;
}

# The example, on a copy of the checkout; the gateway is installed as its page says.
my $example = "$dir/checkout/examples/nextjs";
SKIP:
{
	skip 'the example: no npm here', 1 if system('command -v npm >/dev/null') != 0;
	make_path("$dir/checkout/examples");
	system("cp -R $root/gateway $root/src $dir/checkout && rm -rf $dir/checkout/gateway/build && mkdir $example && tar -C $root/examples/nextjs --exclude=./node_modules --exclude=./.next --exclude=./src/generated --exclude='./.env*.local' -cf - . | tar -C $example -xf -") == 0 or die 'copy';
	my $made = qx(make -s -C $dir/checkout/gateway install PREFIX=$dir UNITDIR=$dir/units 2>&1);
	is($?, 0, 'the gateway is installed') or diag($made);
	my $gateway_port = free_port();
	my $app_port = free_port();
	# Where this machine's ports are not the page's.
	my %edit = (6001 => $gateway_port, 3000 => $app_port, 5432 => $port);
	for my $block (grep { $_->{language} eq 'sh' } blocks('examples/nextjs/README.md'))
	{
		if ($block->{said} eq 'not run')
		{
			SKIP: { skip 'examples/nextjs/README.md: ' . title($block->{text}) . ": $block->{what}", 1 }
			next;
		}
		$block->{$_} =~ s/\b(6001|3000|5432)\b/$edit{$1}/g for qw(text what);
		local $ENV{PORT} = $app_port;
		run_sh('examples/nextjs/README.md', $block, $example);
		if (-e "$example/.env.local" && !-e "$example/.edited")
		{
			my $secret = 'x' x 40;
			my $text = slurp("$example/.env.local") =~ s/\b(6001|3000|5432)\b/$edit{$1}/gr =~ s/^(BETTER_AUTH_SECRET=).*/$1$secret/mr;
			spew("$example/.env.local", $text);
			spew("$example/.edited", '');
		}
	}
	like(slurp("$dir/answer"), qr/Who is reading\?/, 'the app is there, and asks who is reading');
}
done_testing();
