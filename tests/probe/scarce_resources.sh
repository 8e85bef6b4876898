#!/bin/sh
# Little address space, little data, no /proc: large requests have the C library's result, and small ones
# work.
. "$LZ_SRCDIR/tests/probe/lib.sh"

for settings in LAZYZERO_BUDGET=5% "$tight" 'LAZYZERO_BUDGET=1G LAZYZERO_POLICY=refuse'; do
  for limit in as data; do
    run $settings "$probes/scarce_resources" $limit >"$work/output" 2>"$work/errors" ||
      { fail "scarce_resources $limit with $settings: status $?"; cat "$work/errors"; }
  done

  # Limited from the first instruction on. Program and C library take 2.4 MiB and the preloaded library 1 MiB
  # more, so each limit is at least 1.5 MiB away from a sum of requests that just fits.
  for kilobytes in 9000 15000 40000 60000 100000 1000000; do
    (ulimit -v $kilobytes; timeout 60 "$probes/scarce_resources" requests) >"$work/expected" 2>&1
    (ulimit -v $kilobytes; run $settings LAZYZERO_LOG=none "$probes/scarce_resources" requests) >"$work/output" 2>&1 ||
      fail "ulimit -v $kilobytes with $settings: status $?"
    cmp -s "$work/expected" "$work/output" ||
      { fail "ulimit -v $kilobytes with $settings: answers differ"; diff "$work/expected" "$work/output"; }
  done

  timeout 60 "$probes/scarce_resources" requests >"$work/expected" 2>&1
  run $settings LAZYZERO_LOG=none "$probes/scarce_resources" no-proc >"$work/output" 2>"$work/errors"
  case $? in
  0) cmp -s "$work/expected" "$work/output" ||
    { fail "without /proc, with $settings: answers differ"; diff "$work/expected" "$work/output"; } ;;
  77) echo 'not tested: /proc not mounted (no mount namespaces here)' ;;
  *) fail "without /proc, with $settings: $(cat "$work/errors")" ;;
  esac
done

run LAZYZERO_BUDGET=1M LAZYZERO_POLICY=refuse "$probes/scarce_resources" no-proc >"$work/output" 2>"$work/errors"
case $? in
0 | 77) ;;
*) fail "refusing without /proc: $(cat "$work/errors")" ;;
esac
echo 'not tested: vm.overcommit_memory=2, which is set for a whole machine'
exit $failed
