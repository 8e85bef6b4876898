#!/bin/sh
# The malloc family: all checks of malloc.c in every place.
. "$LZ_SRCDIR/tests/probe/lib.sh"
run_everywhere malloc
run_windowed malloc
exit $failed
