# Every name and operator in the SQL of the extension must be qualified, so
# that a caller's search_path can't put others in their place.
use strict;
use warnings;

# SQL's own words that look like calls.
my %syntax = map { $_ => 1 } qw(
  AND ANY ARRAY AS AT BY CHECK COALESCE CONFLICT DISTINCT ERROR EXISTS FILTER FROM FUNCTION GREATEST IN
  LATERAL
  INDEX INSERT INTO JOIN KEY LEAST MATERIALIZED NOT NULL ON OPERATOR OVER REPLACE RETURNS SELECT SET TABLE UNIQUE USING
  VALUES WHERE WITH connection room_presence pusher_app
);

my $bad = 0;

sub complain
{
	my ($file, $what, $sql) = @_;
	$bad = 1;
	$sql =~ s/\s+/ /g;
	print "$file: $what in: ", substr($sql, 0, 160), "\n";
}

sub check
{
	my ($file, $sql) = @_;
	my $text = $sql;
	$text =~ s/--[^\n]*//g;
	$text =~ s/'(?:[^']|'')*'/''/g;
	$text =~ s/OPERATOR\(pg_catalog\.[^)]*\)/ /g;
	$text =~ s/\bAS \w+\s*\(/AS (/g; # an alias with columns
	complain($file, "operator $1", $sql) if $text =~ /\s([-+*\/<>=~|]+|<>|!=)\s/ && $1 ne '=' && $1 ne '*';
	while ($text =~ /(\S*)\s=\s/g)
	{
		# SET x = and plpgsql's := are no operators; a comparison has a dot or a parameter
		my $left = $1;
		complain($file, "operator =", $sql) if $left =~ /\.|\$|\)/;
	}
	while ($text =~ /(?<![\w.])([A-Za-z_]\w*)\s*\(/g)
	{
		complain($file, "function $1", $sql) unless $syntax{$1} || $syntax{ uc $1 };
	}
	complain($file, "IS DISTINCT FROM", $sql) if $text =~ /DISTINCT\s+FROM\s+[\w\$(]/;
}

# The statements of store.c: adjacent string literals and the macros between them.
{
	local $/;
	open my $in, '<', 'src/store.c' or die $!;
	my $source = <$in>;
	my ($table) = $source =~ /statements\[NUM_STATEMENTS\] = \{\n(.*?)\n\};/s or die 'no statements';
	$table =~ s/\/\*.*?\*\///gs;
	# what statements share
	my %shared = $source =~ /^#define (OR_\w+)\s*\\\n((?:[^\n]*\\\n)*[^\n]*\n)/mg;
	die 'no shared clauses' unless %shared;
	$table =~ s/\b($_)\b/$shared{$_}/g for keys %shared;
	my $found = 0;
	while ($table =~ /\[(\w+)\] = \{(?:true|false), "\w*", \d+,\s*\{[^}]*\},(.*?)\},(?=\s*(?:\[|\z))/gs)
	{
		my ($name, $sql) = ($1, $2);
		$sql =~ s/\b(EQ|LT|LE|GT|PLUS|MINUS)\b/" OPERATOR(pg_catalog.x) "/g;
		$sql =~ s/\b(?:LEASE_END|ALIVE)\([^)]*\)/" x "/g;
		$sql = join '', $sql =~ /"((?:[^"\\]|\\.)*)"/g;
		check("src/store.c [$name]", $sql);
		$found++;
	}
	open my $header, '<', 'src/store.h' or die $!;
	my ($names) = <$header> =~ /enum StatementId\s*\{(.*?)NUM_STATEMENTS/s;
	my $declared = () = $names =~ /^\t[A-Z_]+,/mg;
	die "$found statements, but $declared names" if $found != $declared;
}

for my $script (glob 'sql/presence--*.sql')
{
	open my $in, '<', $script or die $!;
	local $/;
	my $text = <$in>;
	$text =~ s/^--[^\n]*\n//mg;
	$text =~ s/^\\echo[^\n]*\n//mg;
	$text =~ s/^COMMENT ON .*?;$//msg;
	# declarations name what they make
	$text =~ s/CREATE (?:OR REPLACE )?FUNCTION\s+presence\.\w+\(/CREATE FUNCTION (/g;
	$text =~ s/EXECUTE FUNCTION presence\.\w+\(\)/EXECUTE/g;
	check($script, $_) for split /;\s*\n/, $text;
}

exit $bad;
