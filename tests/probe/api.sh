#!/bin/sh
# The public API found at run time: all checks of api.c in every place, also with malloc and mmap not handled.
. "$LZ_SRCDIR/tests/probe/lib.sh"
# Regions must be newly mapped, so that their figures are known.
LAZYZERO_CACHE=0
export LAZYZERO_CACHE
"$LZ_BUILDDIR/tests/kernel" zero-page 'what of a region is resident after reads'
run_everywhere api
for setting in LAZYZERO_BUDGET=8M LAZYZERO_THP=never LAZYZERO_THP=inherit; do
  run $setting "$probes/api" >"$work/output" 2>"$work/errors" ||
    { fail "api with $setting"; cat "$work/errors"; }
done
exit $failed
