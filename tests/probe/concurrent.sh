#!/bin/sh
# Signal handlers, threads, forks: all parts of concurrent.c with default and tight settings and above each
# allocator. A hang ends after a minute and counts as a failure.
. "$LZ_SRCDIR/tests/probe/lib.sh"

for allocator in '' $(find_allocators); do
  for settings in LAZYZERO_BUDGET=5% "$tight"; do
    for part in signals threads forks clones spawns regions; do
      # Other allocators are tested by their own projects; parts that take seconds run above libc only.
      case "$allocator $part" in
      lib*signals | lib*threads) continue ;;
      esac
      timeout 90 env $settings LD_PRELOAD="$LZ_LIBRARY $allocator" "$probes/concurrent" $part \
        >"$work/output" 2>"$work/errors" && { cat "$work/output"; continue; }
      fail "concurrent $part, allocator ${allocator:-of libc}, $settings: status $?"
      head -n 5 "$work/errors"
    done
  done
done
for settings in LAZYZERO_BACKING=window LAZYZERO_BUDGET=16K LAZYZERO_BUDGET=5%; do
  run LAZYZERO_LOG=none $settings "$probes/concurrent" remaps 2>"$work/errors" ||
    { fail "concurrent remaps, $settings: status $?"; head -n 5 "$work/errors"; }
done
exit $failed
