# What the scripts on other people's test suites and on neighbours of ours share, on top of what those on
# real programs do (tests/real/lib.sh). SUITES=full, as `make suites` sets it, runs them at length.
. "$LZ_SRCDIR/tests/real/lib.sh"
suites=$LZ_BUILDDIR/tests/suites
CC=${CC:-cc}
CXX=${CXX:-c++}

# at_length QUICK FULL: a word of the two.
at_length() {
  if [ "$SUITES" = full ]; then echo "$2"; else echo "$1"; fi
}

# loads LIBRARY: whether the dynamic linker finds it under that name.
loads() {
  [ -z "$(LD_PRELOAD=$1 env true 2>&1)" ]
}

# The other allocators there are, one name a line; says which are missing.
find_allocators() {
  for names in libjemalloc.so.2 \
    'libmimalloc.so.3 libmimalloc.so.2 libmimalloc.so.2.0' libtcmalloc_minimal.so.4; do
    found=
    for name in $names; do
      if [ -z "$found" ] && loads "$name"; then found=$name; fi
    done
    if [ -n "$found" ]; then echo "$found"; else echo "not tested with $names: not installed" >&2; fi
  done
}

# file_of LIBRARY: where the dynamic linker finds it.
file_of() {
  LD_PRELOAD=$1 sh -c 'cat /proc/$$/maps' | awk -v name="$1" 'index($NF, name) { print $NF; exit }'
}

# run_with PRELOAD NAME COMMAND...: output, errors and status in $work/NAME.
run_with() {
  preload=$1
  name=$2
  shift 2
  # In a shell of its own, which says nothing of a signal that ended it.
  (timeout 120 env ${preload:+LD_PRELOAD="$preload"} "$@" >"$work/$name" 2>&1
    echo "status $?" >>"$work/$name") 2>/dev/null
}

# same WHAT BARE NAME: the two runs gave the same.
same() {
  cmp -s "$work/$2" "$work/$3" && return
  fail "$1: not as bare"
  diff "$work/$2" "$work/$3" | cut -c 1-300 | head -n 12
}
