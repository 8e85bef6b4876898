#!/bin/sh
# What the kernel reads of freed memory is what was there: pipes filled by vmsplice, MSG_ZEROCOPY, registered buffers.
. "$LZ_SRCDIR/tests/suites/lib.sh"
for how in vmsplice by-number zerocopy uring; do
  run_with '' alone "$suites/zerocopy" $how
  grep -qx 'status 0' "$work/alone" || { echo "not tested: $how ($(head -n 1 "$work/alone"))"; continue; }
  for backing in auto zeropage window; do
    run_with "$LZ_LIBRARY" both env LAZYZERO_BACKING=$backing "$suites/zerocopy" $how
    same "$how, $backing" alone both
  done
done
exit $failed
