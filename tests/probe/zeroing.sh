#!/bin/sh
# memset, bzero and explicit_bzero over large ranges: zeroing.c with default and tight settings, on windows, with a low
# threshold, without the cache, without the families around it, and as the first calls of a process.
. "$LZ_SRCDIR/tests/probe/lib.sh"
export PROBE_EMPTY_DIRECTORY="$work/empty"
mkdir "$PROBE_EMPTY_DIRECTORY"

# Above the C library's allocator in every place; above the others, which make no difference to memset, in one.
allocators=$(find_allocators)
find_allocators() { :; }
run_everywhere zeroing
run_windowed zeroing
for allocator in $allocators; do
  timeout $hang env PROBE_ALLOCATOR="$allocator" LD_PRELOAD="$LZ_LIBRARY $early $allocator" "$probes/zeroing" \
    >"$work/output" 2>"$work/errors" || { fail "zeroing above $allocator: status $?"; head -n 10 "$work/errors"; }
done
for settings in LAZYZERO_MEMSET_THRESHOLD=64K LAZYZERO_CACHE=0 LAZYZERO_INTERCEPT=memset LAZYZERO_INTERCEPT=malloc,calloc,mmap \
  LAZYZERO_DISABLE=1 LAZYZERO_ONLY=another LAZYZERO_THP=always \
  "LAZYZERO_BACKING=window LAZYZERO_THRESHOLD=64K LAZYZERO_INTERCEPT=calloc,memset LAZYZERO_LOG=none"; do
  timeout $hang env $settings LD_PRELOAD="$early" "$probes/zeroing" >"$work/expected" 2>"$work/errors" ||
    { fail "zeroing without lazyzero, $settings"; head -n 5 "$work/errors"; }
  run $settings "$probes/zeroing" >"$work/output" 2>"$work/errors" ||
    { fail "zeroing with $settings: status $?"; head -n 10 "$work/errors"; }
  cmp -s "$work/expected" "$work/output" ||
    { fail "zeroing with $settings: the output differs"; diff "$work/expected" "$work/output" | head -n 10; }
done
# In a constructor before ours.
for call in userfaultfd seccomp vmsplice; do
  timeout $hang env PROBE_FIRST=$call PROBE_WHERE=constructor LD_PRELOAD="$LZ_LIBRARY $early" "$probes/zeroing" \
    >"$work/output" 2>"$work/errors" || { fail "$call as the first call: status $?"; head -n 10 "$work/errors"; }
done
exit $failed
