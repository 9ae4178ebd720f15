# What a release says of itself: one version everywhere, a META.json that PGXN takes, and files that are there.
# The version is presence.control's; the gateway's is taken from it when it is built.
use strict;
use warnings FATAL => 'all';

use JSON::PP;
use Test::More;

sub slurp
{
	my ($file) = @_;
	open my $in, '<:raw', $file or die "$file: $!";
	local $/;
	return scalar <$in>;
}

# What a pattern finds in a file.
sub found
{
	my ($file, $pattern) = @_;
	my ($what) = slurp($file) =~ $pattern;
	return $what;
}

my ($version) = found('presence.control', qr/^default_version = '(.*)'$/m);
like($version, qr/^\d+\.\d+$/, 'presence.control has a version');
my $semantic = "$version.0";
my $meta = decode_json(slurp('META.json'));
my $npm = decode_json(slurp('packages/presence-react/package.json'));
my $lock = decode_json(slurp('packages/presence-react/package-lock.json'));

is($meta->{version}, $semantic, 'META.json');
is($meta->{provides}{presence}{version}, $semantic, 'META.json, of the extension');
is($npm->{version}, $semantic, 'package.json of presence-react');
is($_->{version}, $semantic, 'its package-lock.json') for $lock, $lock->{packages}{''};
is(found('CHANGELOG.md', qr/^## (\S+)$/m), $version, 'CHANGELOG.md begins with it');
is(found('debian/changelog', qr/\Apresence \((.*)-\d+\)/), $version, 'debian/changelog too');
is(found('packaging/presence.spec', qr/^Version:\s+(\S+)$/m), $version, 'the RPM spec');
is(found('packaging/presence.spec', qr/^\* .* (\S+)-\d+$/m), $version, 'its changelog');
my ($gateway) = qx(make -pnC gateway help 2>/dev/null) =~ /^VERSION := (.*)$/m;
is($gateway, $version, 'the gateway');

# Its scripts: those of released versions, and one update after the other up to this one.
my %update = map { m{--([^/]+)--(.+)\.sql$} ? ($1 => $2) : () } glob 'sql/presence--*.sql';
my @bases = map { m{presence--((?:(?!--).)+)\.sql$} ? $1 : () } glob 'sql/presence--*.sql';
my $reached = (sort @bases)[-1];
$reached = $update{$reached} while exists $update{$reached};
is($reached, $version, 'CREATE EXTENSION gets there, and no further');

# META.json, by the specification of PGXN, 1.0.0.
my $term = qr{\A[^\s/\\[:cntrl:]]{2,}\z};
my $semver = qr/\A(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[A-Za-z][0-9A-Za-z-]*)?\z/;
my $range = qr/\A(?:(?:[<>]=?|[!=]=)\s*)?\d+(?:\.\d+){0,2}\z/;
my %licenses = map { $_ => 1 } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
	lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown);
my %known = map { $_ => 1 } qw(abstract description generated_by license maintainer meta-spec name no_index prereqs provides
	release_status resources tags version);

is_deeply([ grep { !$known{$_} && !/^x_/i } sort keys %$meta ], [], 'META.json has no keys that PGXN does not know');
like($meta->{name}, $term, 'name');
like($meta->{version}, $semver, 'version');
ok(!ref $meta->{$_} && length $meta->{$_}, $_) for qw(abstract description maintainer generated_by);
ok($licenses{ $meta->{license} }, 'license');
is($meta->{'meta-spec'}{version}, '1.0.0', 'meta-spec');
like($meta->{release_status}, qr/\A(?:stable|testing|unstable)\z/, 'release_status');
ok(@{ $meta->{tags} } && !(grep { ref || !m{\A[^/\\[:cntrl:]]{1,255}\z} } @{ $meta->{tags} }), 'tags');
for my $name (sort keys %{ $meta->{provides} })
{
	my $provided = $meta->{provides}{$name};
	like($name, $term, "provides $name");
	like($provided->{version}, $semver, 'with a version');
	ok(-f $provided->{$_}, "$provided->{$_} is there") for qw(file docfile);
	like($provided->{file}, qr/--\Q$version\E\.sql$/, 'and is the script of this version');
}
for my $phase (sort keys %{ $meta->{prereqs} })
{
	like($phase, qr/\A(?:configure|build|test|runtime|develop)\z/, "prereqs of $phase");
	for my $relation (sort keys %{ $meta->{prereqs}{$phase} })
	{
		like($relation, qr/\A(?:requires|recommends|suggests|conflicts)\z/, $relation);
		my $needed = $meta->{prereqs}{$phase}{$relation};
		like($needed->{$_}, $range, "$_ $needed->{$_}") for sort keys %$needed;
	}
}

# The npm package, as registries show it.
ok($npm->{$_}, "package.json has $_") for qw(description license repository files exports publishConfig);
is($npm->{license}, 'PostgreSQL', 'the same licence');
ok($npm->{publishConfig}{provenance}, 'it is published with its provenance');

# It is built from files of the reading app, and has in it whatever they import.
my $build = slurp('packages/presence-react/scripts/build');
my ($list) = $build =~ /^for file in (.*?); do$/ms or die 'no list of files';
my @files = split ' ', qx(bash -c 'echo $list');
my $paths = decode_json(slurp('packages/presence-react/tsconfig.json'))->{compilerOptions}{paths};
my %there = map { $_ => 1 } (map { "\@/$_" } @files), keys %$paths, map { keys %{ $npm->{$_} } } qw(dependencies peerDependencies);
for my $file (@files)
{
	my ($in) = $file =~ m{(.*)/};
	my @imports = map { s{^\./}{\@/$in/}r } slurp("examples/nextjs/src/$file.ts") =~ /^(?:import|export|\}).* from '(.*)'$/mg;
	is_deeply([ grep { !$there{$_} && !$there{s{/.*}{}r} } @imports ], [], "presence-react has what $file imports");
}

done_testing();
