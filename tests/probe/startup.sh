#!/bin/sh
# Start-up: allocations made by dlsym while lazyzero looks up its next allocator.
. "$LZ_SRCDIR/tests/probe/lib.sh"
for allocator in '' $(find_allocators); do
  output=$(timeout 20 env LD_PRELOAD="$LZ_LIBRARY $probes/.libs/allocating_dlsym.so $allocator" sh -c : 2>&1)
  [ "$output" = 'bootstrap blocks: as any others' ] || fail "above ${allocator:-libc}: $output"
done
exit $failed
