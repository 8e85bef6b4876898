#!/bin/sh
# Memory on a zero window behaves as plain memory: all cases of window.c, with the window requested by the
# user and by the budget.
. "$LZ_SRCDIR/tests/probe/lib.sh"

asked="LAZYZERO_BACKING=window LAZYZERO_THRESHOLD=64K LAZYZERO_BUDGET=1G"
needed="LAZYZERO_BACKING=auto LAZYZERO_THRESHOLD=64K LAZYZERO_BUDGET=16K"

needs_window

for settings in "$asked" "$needed"; do
  run $settings LAZYZERO_LOG=none "$probes/window" >"$work/output" 2>"$work/errors" ||
    { fail "window with $settings: status $?"; head -n 40 "$work/errors"; }
  sort -u "$work/output"
done
exit $failed
