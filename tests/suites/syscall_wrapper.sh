#!/bin/sh
# Libraries preloaded beside us that wrap system calls (umockdev, v4l1compat, padsp) hear each call of the program once,
# as they do without us: in either order, with every family of calls on or off, and with mappings on a window. And an
# allocator beneath us that maps memory while it starts is not called back.
. "$LZ_SRCDIR/tests/suites/lib.sh"
hearing=$suites/.libs/syscall_wrapper.so

run_with "$hearing" alone "$suites/interposed_calls"
[ "$(grep -c 'heard 1$' "$work/alone")" -gt 35 ] && ! grep -q 'heard [^1]\|wrong' "$work/alone" && grep -qx 'status 0' "$work/alone" ||
  { fail 'the library beside us does not hear each call once by itself'; cat "$work/alone"; }
for order in "$LZ_LIBRARY $hearing" "$hearing $LZ_LIBRARY"; do
  for setting in LAZYZERO_LOG=none LAZYZERO_DISABLE=1 LAZYZERO_ONLY=another LAZYZERO_INTERCEPT= LAZYZERO_INTERCEPT=malloc,calloc \
    LAZYZERO_INTERCEPT=malloc,mmap LAZYZERO_INTERCEPT=calloc,mmap LAZYZERO_BACKING=window LAZYZERO_BACKING=zeropage \
    LAZYZERO_CACHE=0 LAZYZERO_BUDGET=4K; do
    run_with "$order" both env LAZYZERO_LOG=none $setting "$suites/interposed_calls"
    same "interposed_calls with $setting and LD_PRELOAD=\"$order\"" alone both
  done
done

# The program is named as the caller, not the library behind us.
run_with "$LZ_LIBRARY $hearing" both env LAZYZERO_BUDGET=4K LAZYZERO_BACKING=zeropage "$suites/interposed_calls"
grep -q 'served mmap(80740352).*from interposed_calls+0x' "$work/both" || { fail 'the caller of mmap'; head -n 5 "$work/both"; }

mapping=$suites/.libs/mapping_allocator.so
for program in large_blocks interposed_calls; do
  run_with "$mapping" alone "$suites/$program"
  grep -qx 'status 0' "$work/alone" || fail "$program above the allocator that maps"
  for order in "$LZ_LIBRARY $mapping" "$mapping $LZ_LIBRARY"; do
    for setting in LAZYZERO_LOG=none LAZYZERO_DISABLE=1 LAZYZERO_BACKING=window; do
      run_with "$order" both env LAZYZERO_LOG=none $setting "$suites/$program"
      same "$program with $setting and LD_PRELOAD=\"$order\"" alone both
    done
  done
done
exit $failed
