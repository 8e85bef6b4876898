#!/bin/sh
# Registration caches (UCX, libfabric) hear of what is unmapped, moved or dropped of a block of ours, outside our lock;
# and while a block that was freed is kept and serves again, what they know of it stays true.
. "$LZ_SRCDIR/tests/suites/lib.sh"
hearing=$suites/.libs/hearing.so

# heard WHAT SETTING...
heard() {
  what=$1
  shift
  for order in "$LZ_LIBRARY $hearing" "$hearing $LZ_LIBRARY"; do
    # In front of us it hears what the program calls alone: what libc does by itself is not for it to hear either.
    case $order in "$hearing"*) [ "$what" = reuse ] || continue ;; esac
    for backing in zeropage window; do
      run_with "$order" heard env LAZYZERO_LOG=none LAZYZERO_BACKING=$backing "$@" "$suites/registered" $what
      if grep -q '^skipped' "$work/heard"; then
        echo "not tested: $what: $(head -n 1 "$work/heard")"
      else
        grep -qx 'status 0' "$work/heard" || { fail "$what, $backing, $*"; cat "$work/heard"; }
      fi
    done
  done
}
heard drop LAZYZERO_CACHE=0
heard trim LAZYZERO_CACHE=64M
heard grow LAZYZERO_CACHE=64M
heard shrink LAZYZERO_CACHE=64M
# In front of us nothing is heard of what is dropped, so only where all is kept can it be right.
heard reuse LAZYZERO_CACHE=512M
exit $failed
