#!/bin/sh
# MADV_WIPEONFORK on a zero window wipes as it does on plain memory.
. "$LZ_SRCDIR/tests/probe/lib.sh"
needs_window
run_windowed wipe_on_fork
exit $failed
