#!/bin/sh
# The malloc family: every check of malloc.c, everywhere.
. "$LZ_SRCDIR/tests/probe/lib.sh"
run_everywhere malloc
run_windowed malloc
exit $failed
