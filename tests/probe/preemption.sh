#!/bin/sh
# A timer's handler switches between user-level threads whose stacks lie side by side, or makes calls on a signal stack of
# 8 KiB: nobody crashes, hangs or finds another's memory. PREEMPT_ROUNDS=100 for as many of each.
. "$LZ_SRCDIR/tests/probe/lib.sh"

rounds=${PREEMPT_ROUNDS:-3}
for mode in swapcontext longjmp signal-stack; do
  timeout 60 "$probes/preemption" $mode 200 2>"$work/errors" || { fail "$mode without lazyzero"; head -n 5 "$work/errors"; }
  for settings in LAZYZERO_LOG=none 'LAZYZERO_LOG=none LAZYZERO_BACKING=window LAZYZERO_THRESHOLD=64K' \
    'LAZYZERO_LOG=none LAZYZERO_BUDGET=64K LAZYZERO_THRESHOLD=64K'; do
    round=0
    while [ $round -lt "$rounds" ]; do
      round=$((round + 1))
      env LD_PRELOAD="$LZ_LIBRARY" $settings timeout 60 "$probes/preemption" $mode 200 2>"$work/errors" ||
        { fail "$mode, $settings, round $round: status $?"; head -n 5 "$work/errors"; }
    done
  done
done
exit $failed
