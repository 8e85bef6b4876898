#!/bin/sh
# gcc compiling a large generated file: the object file must be the same, byte for byte.
. "$LZ_SRCDIR/tests/real/lib.sh"
need gcc gcc
need awk gawk
awk -v functions="$(amount 1000 300)" 'BEGIN {
  for (i = 0; i < functions; i++) {
    printf "static int table%d[] = {", i
    for (j = 0; j < 40; j++) printf "%d,", i * j % 1009
    printf "};\nint f%d(int a, int b)\n{\n\tint s = a;\n\tfor (int i = 0; i < 40; i++) {\n", i
    printf "\t\tif (table%d[i] %% (b | 1) == a) s += table%d[(i * %d) %% 40];\n", i, i, i % 37 + 1
    printf "\t\telse s ^= i << %d;\n\t}\n", i % 13
    printf("\treturn s%s;\n}\n", (i > 0) ? " + f" (i - 1) "(b, a)" : "")
  }
}' >"$work/large.c"
cat >"$work/body" <<'END'
gcc -O2 -g -fdebug-prefix-map=$PWD=. -c ../large.c -o large.o && gcc -shared -o large.so large.o
END
three 120
for way in default tiny; do
  cmp "$work/bare/large.o" "$work/$way/large.o" || fail "$way: the object file differs"
done
was_preloaded
exit $failed
