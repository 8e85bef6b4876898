#!/bin/sh
# Instructions that lazyzero adds to a small malloc, calloc, realloc or free: counted by callgrind, which repeats
# exactly, where a clock would show only noise. Prints figures; it judges nothing.
#
# Each workload runs with N and with 2N rounds, bare and preloaded; the difference of the two, divided by N, is one
# round, start-up not included.
command -v valgrind >/dev/null || { echo "skipped: valgrind is missing"; exit 77; }
: "${LZ_BUILDDIR:=.}"
: "${LZ_LIBRARY:=$LZ_BUILDDIR/.libs/liblazyzero.so}"
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
rounds=20000

# instructions PRELOAD WORKLOAD ROUNDS
instructions() {
  env ${1:+LD_PRELOAD="$1"} valgrind --tool=callgrind --callgrind-out-file="$directory/out" \
    "$LZ_BUILDDIR/fastpath" "$2" "$3" 2>/dev/null || { echo "callgrind failed on $2" >&2; exit 1; }
  sed -n 's/^summary: *//p; s/^totals: *//p' "$directory/out" | head -n 1
}

printf '%-14s %12s %12s %12s\n' 'one round of' 'bare' 'lazyzero' 'added'
for workload in malloc+free calloc+free realloc; do
  for preload in '' "$LZ_LIBRARY"; do
    once=$(instructions "$preload" "$workload" "$rounds") || exit 1
    twice=$(instructions "$preload" "$workload" $((2 * rounds))) || exit 1
    echo "$once $twice"
  done | awk -v n="$rounds" -v name="$workload" '
    { cost[NR] = ($2 - $1) / n }
    END { printf "%-14s %12.1f %12.1f %12.1f\n", name, cost[1], cost[2], cost[2] - cost[1] }'
done
echo '(instructions; two calls a round but for realloc)'
