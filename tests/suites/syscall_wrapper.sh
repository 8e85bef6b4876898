#!/bin/sh
# Preloaded libraries that wrap system calls (umockdev, v4l1compat, padsp) see each call of the program once,
# as without lazyzero: in either order, with each family of calls handled or not, and with mappings on a
# window. An allocator below lazyzero that maps memory while it starts is not called back.
. "$LZ_SRCDIR/tests/suites/lib.sh"
wrapper=$suites/.libs/syscall_wrapper.so

run_with "$wrapper" alone "$suites/interposed_calls"
[ "$(grep -c 'seen 1$' "$work/alone")" -gt 35 ] && ! grep -q 'seen [^1]\|wrong' "$work/alone" && grep -qx 'status 0' "$work/alone" ||
  { fail 'without lazyzero, the wrapper does not see each call once'; cat "$work/alone"; }
for order in "$LZ_LIBRARY $wrapper" "$wrapper $LZ_LIBRARY"; do
  for setting in LAZYZERO_LOG=none LAZYZERO_DISABLE=1 LAZYZERO_ONLY=another LAZYZERO_INTERCEPT= LAZYZERO_INTERCEPT=malloc,calloc \
    LAZYZERO_INTERCEPT=malloc,mmap LAZYZERO_INTERCEPT=calloc,mmap LAZYZERO_BACKING=window LAZYZERO_BACKING=zeropage \
    LAZYZERO_CACHE=0 LAZYZERO_BUDGET=4K; do
    run_with "$order" both env LAZYZERO_LOG=none $setting "$suites/interposed_calls"
    same "interposed_calls with $setting and LD_PRELOAD=\"$order\"" alone both
  done
done

# The log names the program as the caller, not the library preloaded after lazyzero.
run_with "$LZ_LIBRARY $wrapper" both env LAZYZERO_BUDGET=4K LAZYZERO_BACKING=zeropage "$suites/interposed_calls"
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
