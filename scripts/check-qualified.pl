# Every name and operator in the SQL of the extension must be qualified, so
# that a caller's search_path can't put others in their place.
use strict;
use warnings;

# SQL's own words that look like calls.
my %syntax = map { $_ => 1 } qw(
  ALL AND ANY ARRAY AS AT BY CHECK COALESCE CONFLICT DISTINCT ERROR EXISTS FILTER FROM FUNCTION GREATEST GROUP IN
  LATERAL RETURNS BRIN IF
  INDEX INSERT INTO JOIN KEY LEAST MATERIALIZED NOT NULL ON OPERATOR OVER REPLACE ROW SELECT SET TABLE UNIQUE USING
  VALUES WHERE WITH connection room_presence pusher_app event_secret channel_cache brin pusher_webhook webhook_event webhook_channel FILTER
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
	complain($file, "operator $1", $sql) if $text =~ /\s([-+*\/<>=~|]+|<>|!=)\s/ && $1 !~ /^(?:=|\*|=>)$/;
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

# The statements: .sql of a Statement, adjacent string literals and the lists of columns.
my $found = 0;
for my $file (glob 'src/*.c')
{
	local $/;
	open my $in, '<', $file or die $!;
	my $source = <$in>;
	my %columns = $source =~ /^#define (\w+_COLUMNS)\s*\\\n((?:[^\n]*\\\n)*[^\n]*\n)/mg;
	my $declared = () = $source =~ /\bstatic Statement \w+ =/g;
	my $checked = 0;

	while ($source =~ /\.sql\s*=\s*(.*?),\s*\.args/gs)
	{
		my $sql = $1;
		$sql =~ s/\b($_)\b/$columns{$_}/g for keys %columns;
		check($file, join '', $sql =~ /"((?:[^"\\]|\\.)*)"/g);
		$checked++;
	}
	die "$file: $checked of $declared statements found" if $checked != $declared;
	$found += $checked;
}
die 'no statements' if $found < 10;

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
