#!/bin/sh
# Registration caches (UCX, libfabric) see when memory of a block is unmapped, moved or dropped, and are
# called without lazyzero's lock held; and while a freed block is cached and reused, their records stay valid.
. "$LZ_SRCDIR/tests/suites/lib.sh"
wrapper=$suites/.libs/syscall_wrapper.so

# heard WHAT SETTING...: preloaded after lazyzero. Preloaded before it, the library sees only the program's
# own calls, as it does with libc's internal calls.
heard() {
  what=$1
  shift
  for backing in zeropage window; do
    if [ "$what $backing" = 'grow window' ]; then
      echo 'not tested: a block on a window grows in pieces, by calls that other libraries do not see (README, Limits)'
      continue
    fi
    run_with "$LZ_LIBRARY $wrapper" heard env LAZYZERO_LOG=none LAZYZERO_BACKING=$backing "$@" "$suites/registration_cache" $what
    if grep -q '^skipped' "$work/heard"; then
      echo "not tested: $what: $(head -n 1 "$work/heard")"
    else
      grep -qx 'status 0' "$work/heard" || { fail "$what, $backing, $*"; cat "$work/heard"; }
    fi
  done
}
heard drop LAZYZERO_CACHE=0
heard trim LAZYZERO_CACHE=64M
heard grow LAZYZERO_CACHE=64M
heard shrink LAZYZERO_CACHE=64M
heard reuse LAZYZERO_CACHE=512M
exit $failed
