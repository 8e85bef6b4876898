#!/bin/sh
# Registration caches (UCX, libfabric) hear of what is unmapped, moved or dropped of a block of ours, outside our lock;
# and while a block that was freed is kept and serves again, what they know of it stays true.
. "$LZ_SRCDIR/tests/suites/lib.sh"
hearing=$suites/.libs/syscall_wrapper.so

# heard WHAT SETTING...: behind us. In front of us it hears what the program calls alone: what libc does by itself is not for
# it to hear either.
heard() {
  what=$1
  shift
  for backing in zeropage window; do
    if [ "$what $backing" = 'grow window' ]; then
      echo 'not tested: a block on a window grows in pieces, by calls that nobody hears (README, Limits)'
      continue
    fi
    run_with "$LZ_LIBRARY $hearing" heard env LAZYZERO_LOG=none LAZYZERO_BACKING=$backing "$@" "$suites/registration_cache" $what
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
