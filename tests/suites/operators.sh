#!/bin/sh
# C++: every operator new and delete, containers and threads, with libstdc++ alone and with the operators of
# other allocators, preloaded beneath us and above us or linked, and with libstdc++ linked statically.
. "$LZ_SRCDIR/tests/suites/lib.sh"
need "$CXX" g++

$CXX -std=c++17 -fsized-deallocation -O1 -g -fno-builtin -pthread -c -o "$work/operators.o" "$LZ_SRCDIR/tests/suites/operators.cc" \
  >"$work/cc.log" 2>&1 || { echo "skipped: $CXX cannot compile it ($(head -n 1 "$work/cc.log"))"; exit 77; }
link() {
  output=$1
  shift
  $CXX -pthread -o "$work/$output" "$work/operators.o" "$@" >"$work/cc.log" 2>&1
}
link operators || { fail "$CXX cannot link it"; cat "$work/cc.log"; }
static=
if link operators-static -static-libstdc++ -static-libgcc; then static=operators-static; fi

for allocator in '' $(find_allocators); do
  for program in operators $static; do
    run_with "$allocator" bare "$work/$program"
    run_with "$LZ_LIBRARY $allocator" beneath "$work/$program"
    same "$program, ${allocator:-libc} beneath" bare beneath
    [ -n "$allocator" ] || grep -q 'status 0' "$work/bare" || { fail "$program, bare"; cat "$work/bare"; }
    [ -n "$allocator" ] && [ $program = operators ] || continue
    run_with "$allocator $LZ_LIBRARY" above "$work/$program"
    same "$program, $allocator above" bare above
    link program-linked -Wl,--no-as-needed "$(file_of "$allocator")" || continue
    run_with "$LZ_LIBRARY" linked "$work/program-linked"
    same "linked with $allocator" bare linked
  done
done

# Made by one, freed by another.
$CXX -shared -fPIC -o "$work/libdrop.so" "$LZ_SRCDIR/tests/suites/library_delete.cc" &&
  $CXX -o "$work/mixed" "$LZ_SRCDIR/tests/suites/mixed_operators.cc" "$work/libdrop.so" &&
  { [ -z "$static" ] || $CXX -static-libstdc++ -static-libgcc -o "$work/mixed-static" "$LZ_SRCDIR/tests/suites/mixed_operators.cc" \
    "$work/libdrop.so"; } || fail "$CXX cannot build them"
for program in mixed ${static:+mixed-static}; do
  for allocator in '' $(find_allocators 2>/dev/null); do
    run_with "$allocator" bare "$work/$program"
    run_with "$LZ_LIBRARY $allocator" beneath "$work/$program"
    same "$program, ${allocator:-libc} beneath" bare beneath
    grep -qx 'status 0' "$work/bare" || { fail "$program, bare, with ${allocator:-libc}"; cat "$work/bare"; }
  done
done
exit $failed
