#!/bin/sh
# jemalloc, mimalloc and tcmalloc beneath us, above us, and linked by the program: what they offer beside the
# standard functions is given blocks of malloc, which we served, and their own. Then plugins that bring an
# allocator nobody else sees, and a malloc of somebody else's in the program or preloaded.
. "$LZ_SRCDIR/tests/suites/lib.sh"

# --- dallocx, mi_free, tc_free and their like ---

for allocator in '' $(find_allocators); do
  run_with "$allocator" bare "$suites/allocator_functions"
  tail -n 1 "$work/bare" | grep -qx 'status 0' || { fail "bare, with ${allocator:-libc}"; cat "$work/bare"; }
  run_with "$LZ_LIBRARY $allocator" beneath "$suites/allocator_functions" served
  same "foreign, ${allocator:-libc} beneath" bare beneath
  run_with "$LZ_LIBRARY $allocator" tight env LAZYZERO_BACKING=window LAZYZERO_CACHE=0 LAZYZERO_BUDGET=16K \
    LAZYZERO_LOG=none "$suites/allocator_functions" served
  same "foreign, ${allocator:-libc} beneath, on the window" bare tight
  [ -n "$allocator" ] || continue
  run_with "$allocator $LZ_LIBRARY" above "$suites/allocator_functions"
  same "foreign, $allocator above" bare above
  if $CC -g -fno-builtin -I"$LZ_SRCDIR/include" -o "$work/program" "$LZ_SRCDIR"/tests/suites/allocator_functions*.c \
    -Wl,--no-as-needed "$(file_of "$allocator")" >"$work/cc.log" 2>&1; then
    run_with "$LZ_LIBRARY" linked "$work/program" served
    same "foreign, linked with $allocator" bare linked
  else
    echo "not tested: linked with $allocator ($(head -n 1 "$work/cc.log"))"
  fi
  echo "$allocator: $(($(wc -l <"$work/bare") - 1)) functions"
done

# What free says of a block that is freed twice, they say, too.
run_with "$LZ_LIBRARY" twice "$suites/allocator_functions" twice
[ "$(grep -c '^lazyzero.*free(.*: double free' "$work/twice")" = 1 ] && grep -qx 'status 134' "$work/twice" ||
  { fail 'mi_free, then dallocx of the same block'; cat "$work/twice"; }

# Who looks for jemalloc, mimalloc or tcmalloc must not find them.
if command -v nm >/dev/null; then
  nm -D --defined-only "$LZ_LIBRARY" | grep -E ' (mallocx|nallocx|mallctl.*|malloc_stats_print|mi_malloc|mi_version|tc_malloc|tc_version|tc_new|MallocExtension.*)$' &&
    fail 'the library looks like another allocator'
fi

# --- plugins ---

set -- "$suites/.libs/plugin-linked.so" "$suites/.libs/plugin-whole.so"
rounds=$(amount 20000 2000)
run_with '' bare "$suites/plugin_host" "$rounds" "$@"
run_with "$LZ_LIBRARY" plugins "$suites/plugin_host" "$rounds" "$@"
same 'plugins with allocators of their own' bare plugins
tail -n 1 "$work/bare" | grep -qx 'status 0' || { fail 'plugins, bare'; cat "$work/bare"; }

# --- somebody else's malloc ---

run_with '' bare "$suites/large_blocks"
grep -qx 'status 0' "$work/bare" || { fail 'large, bare'; cat "$work/bare"; }
for program in large_blocks large_blocks-own large_blocks-own-some; do
  run_with "$LZ_LIBRARY" own "$suites/$program"
  same "$program" bare own
done
for other in counting_malloc counting_malloc-some; do
  other=$suites/.libs/$other.so
  run_with "$LZ_LIBRARY $other" beneath "$suites/large_blocks"
  same "large, $other beneath" bare beneath
  run_with "$other $LZ_LIBRARY" above "$suites/large_blocks"
  same "large, $other above" bare above
done
exit $failed
