#!/bin/sh
# Instructions that lazyzero adds to a small malloc, calloc, realloc, free or memset: counted by callgrind, which repeats
# exactly, where a clock would show only noise. Prints figures; it judges nothing.
#
# Each workload runs with N and with 2N rounds, bare and preloaded; the difference of the two, divided by N, is one
# round, start-up not included. Then what statistics in a file add to a region.
command -v valgrind >/dev/null || { echo "skipped: valgrind is missing"; exit 77; }
: "${LZ_BUILDDIR:=.}"
: "${LZ_LIBRARY:=$LZ_BUILDDIR/.libs/liblazyzero.so}"
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
rounds=20000

# instructions PRELOAD WORKLOAD ROUNDS, in the environment there is
instructions() {
  env ${1:+LD_PRELOAD="$1"} valgrind --tool=callgrind --callgrind-out-file="$directory/out" \
    "$LZ_BUILDDIR/fastpath" "$2" "$3" 2>/dev/null || { echo "callgrind failed on $2" >&2; exit 1; }
  sed -n 's/^summary: *//p; s/^totals: *//p' "$directory/out" | head -n 1
}

# round PRELOAD WORKLOAD: instructions of one.
round() {
  once=$(instructions "$1" "$2" "$rounds") || exit 1
  twice=$(instructions "$1" "$2" $((2 * rounds))) || exit 1
  awk "BEGIN { print ($twice - $once) / $rounds }"
}

# row NAME WITHOUT WITH
row() {
  printf '%-14s %12.1f %12.1f %12.1f\n' "$1" "$2" "$3" "$(awk "BEGIN { print $3 - $2 }")"
}

printf '%-14s %12s %12s %12s\n' 'one round of' 'bare' 'lazyzero' 'added'
for workload in malloc+free calloc+free realloc memset; do
  bare=$(round '' "$workload") && ours=$(round "$LZ_LIBRARY" "$workload") || exit 1
  row "$workload" "$bare" "$ours"
done
off=$(LAZYZERO_INTERCEPT=malloc,calloc,mmap round "$LZ_LIBRARY" memset) || exit 1
row 'memset, off' "$bare" "$off"
echo '(instructions; two calls a round but for realloc and memset; off: memset is not in LAZYZERO_INTERCEPT)'

rounds=1000
export LAZYZERO_CACHE=0
without=$(round "$LZ_LIBRARY" region) && with=$(LAZYZERO_STATS="$directory/stats" round "$LZ_LIBRARY" region) || exit 1
printf '\n%-14s %12s %12s %12s\n' 'one round of' 'lazyzero' 'statistics' 'added'
row region "$without" "$with"
echo '(instructions of calloc+free of 1 MiB, nothing kept; what the kernel does is not counted)'
