#!/bin/sh
# perl: large strings, a large hash, sorting, a forked child.
. "$LZ_SRCDIR/tests/real/lib.sh"
need perl perl
keys=$(amount 300000 60000)
export keys
cat >"$work/body" <<'END'
export PERL_HASH_SEED=0
exec perl -e '
  my $text = "\0" x 50_000_000;
  substr($text, $_ * 4999, 1) = chr(65 + $_ % 26) for 0 .. 9999;
  my $letters = $text =~ tr/A-Z//;
  my %count;
  $count{($_ * 2654435761) % 1_000_003}++ for 1 .. $ENV{keys};
  my @sorted = sort { $count{$b} <=> $count{$a} || $a <=> $b } keys %count;
  my $sum = unpack("%32C*", $text);
  vec(my $bits = "", 100_000_000, 1) = 1;
  my $pid = fork;
  if ($pid == 0) { my $more = $text x 2; exit(length($more) == 100_000_000 ? 5 : 6); }
  waitpid $pid, 0;
  print "$letters $sum @sorted[0 .. 9] ", scalar(@sorted), " ", length $bits, " ", $? >> 8, "\n";
'
END
three 60
was_preloaded
exit $failed
