#!/bin/sh
# The memory use of a zero window: none while no range is on it, and not more than is free in the control
# group.
. "$LZ_SRCDIR/tests/probe/lib.sh"
needs_window

for settings in 'LAZYZERO_BACKING=window LAZYZERO_CACHE=0' 'LAZYZERO_BACKING=window' \
  'LAZYZERO_BACKING=auto LAZYZERO_BUDGET=16K LAZYZERO_CACHE=0'; do
  run $settings LAZYZERO_LOG=none "$probes/window-memory" gone >"$work/output" 2>&1 ||
    fail "a window without users, $settings: $(cat "$work/output")"
done

# grouped SETTINGS USED TIB THEN: runs the program in the group; its output is in $work/output.
grouped() {
  in_group env LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_LOG=none $1 "$probes/window-memory" tight "$2" "$3" "$4" >"$work/output" 2>"$work/errors"
}

if ! make_group $((192 << 20)); then
  echo 'not tested: a control group: none can be made here'
  exit $failed
fi
for settings in LAZYZERO_BACKING=window LAZYZERO_BACKING=auto 'LAZYZERO_BACKING=auto LAZYZERO_POLICY=refuse'; do
  for round in 1 2 3 4 5 6 7; do
    grouped "$settings" 100 4 60
    status=$?
    [ $status -eq 0 ] && grep -q '^done$' "$work/output" ||
      fail "100 MiB, then 4 TiB, then 60 MiB, in 192 MiB, $settings: status $status: $(cat "$work/output" "$work/errors")"
  done
done
# With little else in the group the window is used.
grouped LAZYZERO_BACKING=window 1 4 100
status=$?
[ $status -eq 0 ] && grep -q '^request: served, on a window$' "$work/output" ||
  fail "4 TiB in 192 MiB: status $status: $(cat "$work/output" "$work/errors")"
remove_group
exit $failed
