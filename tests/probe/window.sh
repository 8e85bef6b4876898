#!/bin/sh
# Memory on a zero window behaves as plain memory: every case of window.c, where the program asks for the
# window and where the budget does.
. "$LZ_SRCDIR/tests/probe/lib.sh"

asked="LAZYZERO_BACKING=window LAZYZERO_THRESHOLD=64K LAZYZERO_BUDGET=1G"
needed="LAZYZERO_BACKING=auto LAZYZERO_THRESHOLD=64K LAZYZERO_BUDGET=16K"

# What may hinder the window is named; only then is there nothing to test.
run LAZYZERO_BACKING=window "$probes/logging" events 1 >"$work/output" 2>&1
if grep -q 'no zero window' "$work/output"; then
  grep 'no zero window' "$work/output"
  exit 77
fi

for settings in "$asked" "$needed"; do
  run $settings LAZYZERO_LOG=none "$probes/window" >"$work/output" 2>"$work/errors" ||
    { fail "window with $settings: status $?"; head -n 40 "$work/errors"; }
  sort -u "$work/output"
done
exit $failed
