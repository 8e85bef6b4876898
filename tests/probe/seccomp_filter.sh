#!/bin/sh
# A program's own seccomp filter, or SIGSYS for system calls from outside libc: from then on the library makes no system
# call that the program would not make.
. "$LZ_SRCDIR/tests/probe/lib.sh"

for mode in prctl seccomp strict dispatch; do
  timeout $hang "$probes/seccomp_filter" $mode 2>"$work/errors"
  status=$?
  [ $status -ne 77 ] || { echo "not tested: $mode: no such filter can be installed here"; continue; }
  [ $status -eq 0 ] || { fail "$mode without lazyzero: status $status"; continue; }
  for settings in LAZYZERO_LOG=stderr LAZYZERO_BACKING=window LAZYZERO_BUDGET=16K LAZYZERO_CACHE=0 "LAZYZERO_STATS=$work/" \
    "LAZYZERO_REPORT=$work/report LAZYZERO_REPORT_SIGNAL=USR2"; do
    run $settings "$probes/seccomp_filter" $mode 2>"$work/errors" ||
      { fail "$mode, $settings: status $?"; head -n 5 "$work/errors"; }
  done
done
exit $failed
