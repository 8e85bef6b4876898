#!/bin/sh
# PHP: a string of 256 MiB of zero bytes, of which 1,000 are written.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
need php php-cli

cat >"$work/zeroed.php" <<'END'
<?php
$n = 1 << 28;
$a = str_repeat("\0", $n);
$place = 1;
for ($i = 0; $i < 1000; $i++) {
	$place = $place * 48271 % 2147483647;
	$a[$place % $n] = chr(1 + $i % 100);
}
for ($sum = 0, $i = 0; $i < $n; $i += 1048573)
	$sum += ord($a[$i]);
echo strlen($a), " ", $sum, " ", ord($a[$place % $n]), "\n";
END
zeroed 'str_repeat("\0", $n)' 6 php -n -d memory_limit=-1 ../zeroed.php
exit $failed
