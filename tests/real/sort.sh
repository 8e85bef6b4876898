#!/bin/sh
# sort with a buffer of 1 GB and two threads.
. "$LZ_SRCDIR/tests/real/lib.sh"
need sort coreutils
need awk gawk
awk 'BEGIN { for (i = 0; i < 2000000; i++) {
  x = (x * 1103515245 + 12345) % 2147483648
  print int(x / 64) } }' </dev/null >"$work/lines"
cat >"$work/body" <<'END'
sort -S 1G --parallel=2 ../lines >sorted && sort -S 1G -n -u ../lines | cksum && 
  sort -c -S 1G sorted && cksum <sorted
END
three 60
was_preloaded
exit $failed
