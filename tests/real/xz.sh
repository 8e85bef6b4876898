#!/bin/sh
# xz -T2 on a file of 100 MB, and back: the compressed files must be equal.
. "$LZ_SRCDIR/tests/real/lib.sh"
need xz xz-utils
need awk gawk
awk 'BEGIN { for (i = 0; i < 9500000; i++) { 
  x = (x * 1103515245 + 12345) % 2147483648
  print int(x / 65536) % 9973 + 100000 * (i % 1000 == 0) } }' \
  </dev/null >"$work/part"
cat "$work/part" "$work/part" | head -c 100000000 >"$work/large"
cat >"$work/body" <<'END'
xz -T2 -1 -c ../large >large.xz && xz -t large.xz && xz -dc -T2 large.xz | cmp - ../large
END
three 120
for way in default tiny; do
  cmp "$work/bare/large.xz" "$work/$way/large.xz" || fail "$way: the compressed file differs"
done
was_preloaded
exit $failed
