#!/bin/sh
# The examples, run small; `make check` sets the LZ_ variables. Takes about 5 seconds.
# 0: all is well; 1: something is not, and was said; 77: nothing could be checked.

examples=$LZ_BUILDDIR/examples
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
LC_ALL=C
export LC_ALL

skip() {
  echo "skipped: $1"
  exit 77
}

fail() {
  echo "FAILED: $1"
  cat "$scratch/out" "$scratch/err"
  failed=1
}

# run NAME COMMAND...: output and errors to the scratch files; the exit status must be 0.
run() {
  name=$1
  shift
  timeout 120 "$@" >"$scratch/out" 2>"$scratch/err"
  status=$?
  [ $status -eq 0 ] || fail "$name: exit status $status"
}

preloaded() {
  name=$1
  shift
  run "$name" env LD_PRELOAD="$LZ_LIBRARY" "$@"
}

# expect TEXT: a line of the last output contains it.
expect() {
  grep -qF -e "$1" "$scratch/out" || fail "$name: no line says: $1"
}

# What sparse_array counts, counted in another way: "count 'text'", the ten most frequent.
top_grams() {
  tr -cs 'A-Za-z0-9' ' ' <"$1" | tr 'A-Z' 'a-z' |
    awk '{ text = text $0 } END { for (i = 1; i + 6 <= length(text); i++) print substr(text, i, 7) }' |
    sort | uniq -c | sort -k1,1nr -s | head -n 10 | sed "s/^ *\([0-9]*\) \(.*\)/\1 '\2'/"
}

check_sparse_array() {
  preloaded sparse_array LAZYZERO_LOG=none "$examples/sparse_array" "$1"
  expect "array 1 TiB"
  top_grams "$1" >"$scratch/expected"
  sed -n "s/^ *\([0-9]*\)  \('.*'\)$/\1 \2/p" "$scratch/out" >"$scratch/counted"
  cmp -s "$scratch/expected" "$scratch/counted" ||
    fail "sparse_array: counts of $1 differ: $(diff "$scratch/expected" "$scratch/counted")"
}

: "${LZ_BUILDDIR:?}" "${LZ_LIBRARY:?}" "${LZ_SRCDIR:?}"
[ "$(cat /proc/sys/vm/overcommit_memory)" != 2 ] || skip "vm.overcommit_memory is 2: no large address space"
[ "$(ulimit -v)" = unlimited ] || skip "address space is limited (ulimit -v)"

run experiments "$examples/experiments" --scale 64 --library "$LZ_LIBRARY"
cat "$scratch/out"
"$LZ_BUILDDIR/tests/kernel" zero-page 'figures of E2, E5 and E8 marked n/a'

run "demand_paging by mmap" "$examples/demand_paging" 1G
expect "write to 10000 pages"
preloaded "demand_paging by calloc" "$examples/demand_paging" --calloc 1G
expect "write to 10000 pages"

check_sparse_array "$LZ_SRCDIR/LICENSE"
check_sparse_array "$LZ_SRCDIR/examples/sparse_array.c"
printf 'abcdefg' >"$scratch/seven"
check_sparse_array "$scratch/seven"
printf '' >"$scratch/empty"
check_sparse_array "$scratch/empty"

preloaded refused LAZYZERO_BACKING=zeropage LAZYZERO_POLICY=refuse LAZYZERO_BUDGET=16M "$examples/refused"
expect "calloc of 1 TiB: Cannot allocate memory"
expect "calloc of 4 GiB: served"
expect "the old block is whole"
expect "small allocations: go on"

run linked env LAZYZERO_POLICY=refuse "$examples/linked"
expect "byte 0 is 0, byte of page 500 is 1"
expect "LZ_ZEROPAGE: Cannot allocate memory"
if "$LZ_COMMAND" doctor >"$scratch/doctor" 2>&1; then
  expect "on a window: 1, refused: 1"
  preloaded "demand_paging on the window" LAZYZERO_BACKING=window "$examples/demand_paging" --calloc 1G
  expect "on the zero window"
else
  cat "$scratch/doctor"
  echo "skipped: the examples on the zero window, which cannot be had here"
fi

exit $failed
