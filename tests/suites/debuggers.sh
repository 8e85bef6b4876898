#!/bin/sh
# gdb and valgrind on a preloaded program: it stops where it is told, shows what it holds, and runs as it does
# under them without us; memcheck finds nothing wrong in us.
. "$LZ_SRCDIR/tests/suites/lib.sh"
tested=0
program=$suites/large_blocks
[ ! -x "$suites/.libs/large_blocks" ] || program=$suites/.libs/large_blocks

cat >"$work/commands" <<'END'
set confirm off
set startup-with-shell off
set breakpoint pending on
break by_the_library
run
backtrace
print sum
print/x $_siginfo.si_signo
delete
catch syscall exit_group
continue
info inferiors
kill
END
# What differs from one process to the next.
plain() {
  sed -E -e 's/0x[0-9a-f]+/ADDRESS/g' -e 's/process [0-9]+/process N/g' -e 's/Breakpoint ADDRESS/Breakpoint/' "$1" >"$1.plain"
  mv "$1.plain" "$1"
}
if command -v gdb >/dev/null; then
  run_with '' bare gdb -nx -batch -x "$work/commands" "$program"
  plain "$work/bare"
  if grep -q 'Breakpoint 1, by_the_library' "$work/bare"; then
    for backing in auto window; do
      { echo "set environment LD_PRELOAD $LZ_LIBRARY"
        echo "set environment LAZYZERO_BACKING $backing"
        cat "$work/commands"
        echo 'info sharedlibrary liblazyzero'; } >"$work/preloaded-commands"
      sed -i 's/^kill$/info sharedlibrary liblazyzero\nkill/' "$work/preloaded-commands"
      run_with '' debugged gdb -nx -batch -x "$work/preloaded-commands" "$program"
      grep -q 'Yes.*liblazyzero.so' "$work/debugged" || fail 'gdb does not see the library'
      plain "$work/debugged"
      sed -i '/^From *To *Syms/d; /liblazyzero/d; /^No shared libraries/d' "$work/debugged"
      same "gdb, $backing" bare debugged
    done
    tested=1
  else
    echo 'not tested: gdb, which may not trace here'
  fi
else
  echo 'not tested: gdb is missing (Debian package gdb)'
fi

if command -v valgrind >/dev/null; then
  # none runs our own malloc, memcheck puts its own in its place.
  for tool in none memcheck; do
    run_with '' bare valgrind -q --tool=$tool --error-exitcode=9 "$program"
    run_with "$LZ_LIBRARY" checked valgrind -q --tool=$tool --error-exitcode=9 "$program"
    same "valgrind --tool=$tool" bare checked
    grep -qx 'status 0' "$work/bare" || { fail "valgrind --tool=$tool, bare"; cat "$work/bare"; }
  done
  tested=1
else
  echo 'not tested: valgrind is missing (Debian package valgrind)'
fi
[ $tested = 1 ] || { echo 'skipped: neither gdb nor valgrind can be used here'; exit 77; }
exit $failed
