#!/bin/sh
# The library's use of its callers' stacks, on all paths of stack.c, under settings that lead to every kind of
# decision and message.
. "$LZ_SRCDIR/tests/probe/lib.sh"

small="LAZYZERO_THRESHOLD=64K LAZYZERO_MALLOC_THRESHOLD=128K"
mkdir "$work/stats"
settings_of() {
  case $1 in
  default) echo ;;
  window) echo "LAZYZERO_BACKING=window" ;;
  'over the budget') echo "LAZYZERO_BUDGET=16K LAZYZERO_BACKING=zeropage" ;;
  'over the budget, window') echo "LAZYZERO_BUDGET=16K" ;;
  'over the budget, JSON to a file') echo "LAZYZERO_BUDGET=16K LAZYZERO_BACKING=zeropage LAZYZERO_LOG_FORMAT=json LAZYZERO_LOG=$work/%e.%p.log" ;;
  syslog) echo "LAZYZERO_BUDGET=16K LAZYZERO_BACKING=zeropage LAZYZERO_LOG=syslog" ;;
  'log that cannot be written') echo "LAZYZERO_BUDGET=16K LAZYZERO_BACKING=zeropage LAZYZERO_LOG=$work/no/such" ;;
  refuse) echo "LAZYZERO_BUDGET=16K LAZYZERO_BACKING=zeropage LAZYZERO_POLICY=refuse" ;;
  'no cache') echo "LAZYZERO_CACHE=0" ;;
  report) echo "LAZYZERO_REPORT=$work/report LAZYZERO_REPORT_SIGNAL=USR1" ;;
  'report, window') echo "LAZYZERO_REPORT=$work/%p.report LAZYZERO_REPORT_SIGNAL=USR1 LAZYZERO_BACKING=window" ;;
  statistics) echo "LAZYZERO_STATS=$work/stats LAZYZERO_BACKING=window" ;;
  esac
}

printf '%s\n' default window 'over the budget' 'over the budget, window' 'over the budget, JSON to a file' syslog \
  'log that cannot be written' refuse 'no cache' report 'report, window' statistics >"$work/kinds"
while read -r kind; do
  run LD_BIND_NOW=1 $small $(settings_of "$kind") "$probes/stack" >"$work/output" 2>"$work/errors"
  status=$?
  echo "$kind: most $(sort -n "$work/output" | tail -n 1 | sed 's/^ *//')"
  grep -q ' exit' "$work/output" || fail "$kind: the probe did not reach its end: status $status"
  [ $status -eq 0 ] || { fail "$kind: more than 1,536 bytes"; grep 'TOO MUCH' "$work/output"; }
done <"$work/kinds"
# Checks the measurement: operations that the library passes on use nothing, those it handles use some.
run LD_BIND_NOW=1 $small "$probes/stack" 2>/dev/null | grep -qE '^ +[1-9][0-9]+ calloc, the first$' ||
  fail "a calloc that is served takes no stack: nothing is measured"
exit $failed
