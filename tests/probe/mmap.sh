#!/bin/sh
# The mmap family behaves as in the kernel: all cases of mmap.c in every place.
. "$LZ_SRCDIR/tests/probe/lib.sh"
run_everywhere mmap
run_windowed mmap
exit $failed
