#!/bin/sh
# Calls that change no contents, over a zero window that threads write to with stores, read(2) and O_DIRECT: nothing is lost.
# UFFDIO_REGISTER for missing pages copies: stores and read(2) lose nothing.
. "$LZ_SRCDIR/tests/probe/lib.sh"
needs_window

for settings in LAZYZERO_BACKING=window 'LAZYZERO_BACKING=auto LAZYZERO_BUDGET=16K'; do
  run $settings LAZYZERO_LOG=none "$probes/concurrent_writes" >"$work/output" 2>"$work/errors" ||
    fail "concurrent_writes with $settings: status $?: $(cat "$work/output" "$work/errors")"
  cat "$work/output"
  run $settings LAZYZERO_LOG=none "$probes/concurrent_writes" missing >"$work/output" 2>"$work/errors"
  status=$?
  cat "$work/output"
  if grep -q '^missing: 0 made' "$work/output"; then
    echo 'not tested: leaving a window (userfaultfd is not to be had)'
  elif [ $status -ne 0 ]; then
    fail "concurrent_writes missing with $settings: status $status: $(cat "$work/errors")"
  elif ! grep -q ' 16 of 16 blocks left' "$work/output"; then
    fail "concurrent_writes missing with $settings: not all blocks left"
  fi
done
exit $failed
