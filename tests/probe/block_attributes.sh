#!/bin/sh
# Blocks that a program alters: every check of block_attributes.c, bare, with regions that are kept for reuse, on the zero
# window and with nothing kept.
. "$LZ_SRCDIR/tests/probe/lib.sh"

small='LAZYZERO_THRESHOLD=64K LAZYZERO_MALLOC_THRESHOLD=128K LAZYZERO_LOG=none'
timeout $hang "$probes/block_attributes" 2>"$work/errors" || { fail "block_attributes without lazyzero"; head -n 10 "$work/errors"; }
for settings in '' "$small" "LAZYZERO_BACKING=window $small" "LAZYZERO_CACHE=0 $small" \
  "LAZYZERO_CACHE=64M LAZYZERO_THRESHOLD=64K LAZYZERO_INTERCEPT=malloc,calloc" "LAZYZERO_BUDGET=16K $small"; do
  for place in main thread; do
    run LAZYZERO_LOG=none $settings PROBE_WHERE=$place "$probes/block_attributes" 2>"$work/errors" ||
      { fail "block_attributes in $place with $settings: status $?"; head -n 10 "$work/errors"; }
  done
done
exit $failed
