#!/bin/sh
# The mmap family answers as the kernel does: every case of mmap.c, everywhere.
. "$LZ_SRCDIR/tests/probe/lib.sh"
run_everywhere mmap
run_windowed mmap
exit $failed
