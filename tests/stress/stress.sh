#!/bin/sh
# Threads, signals, jumps, cancellation, forks, libraries, exits and what happens behind the library's back: stress.c
# bare, then preloaded with the zero page, on windows, far over its budget, and with nothing recycled. ROUNDS of each
# part (100).
rounds=${ROUNDS:-100}
program=$LZ_BUILDDIR/tests/stress/stress
[ -f "$LZ_LIBRARY" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
STRESS_LIBRARIES=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-stress.XXXXXX") || exit 1
export STRESS_LIBRARIES
trap 'rm -rf "$STRESS_LIBRARIES"' EXIT
trap 'exit 1' HUP INT TERM
for i in 1 2 3; do
  cp "$LZ_BUILDDIR/tests/stress/.libs/loaded_library.so" "$STRESS_LIBRARIES/library$i.so" || exit 1
done

cp "$LZ_BUILDDIR/tests/stress/.libs/deepbind_plugin.so" "$STRESS_LIBRARIES/plugin.so" || exit 1

# A control group that "children" puts one process of its own in; without, it says what it did not test.
for parent in /sys/fs/cgroup/memory /sys/fs/cgroup; do
  STRESS_GROUP=$parent/lazyzero-stress.$$
  [ -d "$parent" ] && mkdir "$STRESS_GROUP" 2>/dev/null || { STRESS_GROUP=; continue; }
  for limit in memory.limit_in_bytes memory.max; do
    [ -f "$STRESS_GROUP/$limit" ] && echo 96M >"$STRESS_GROUP/$limit" 2>/dev/null && break 2
  done
  rmdir "$STRESS_GROUP"
  STRESS_GROUP=
done
export STRESS_GROUP
trap 'rm -rf "$STRESS_LIBRARIES"; [ -z "$STRESS_GROUP" ] || rmdir "$STRESS_GROUP"' EXIT

failed=0
# run WHAT [VARIABLE=VALUE...]: the program has a watchdog of its own; this one is for the program.
run() {
  what=$1
  shift
  echo "$what, $rounds rounds of each part:"
  timeout $((300 + rounds * 4)) env "$@" "$program" "$rounds" $STRESS_PARTS || { echo "FAILED $what: status $?"; failed=1; }
}

small='LAZYZERO_THRESHOLD=64K LAZYZERO_MALLOC_THRESHOLD=128K LAZYZERO_LOG=none'
# Bare, forks copy the regions of the parent, which takes ten times as long.
all=$rounds
rounds=$((all / 4 + 1))
run bare LZ_BARE=1
rounds=$all
run 'zero page' LD_PRELOAD="$LZ_LIBRARY" $small
run windows LD_PRELOAD="$LZ_LIBRARY" $small LAZYZERO_BACKING=window
run 'over the budget, nothing recycled' LD_PRELOAD="$LZ_LIBRARY" $small LAZYZERO_BUDGET=1M LAZYZERO_CACHE=0
exit $failed
