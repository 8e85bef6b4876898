# Shared by the scripts on third-party test suites and on other software in the process, in addition to
# tests/real/lib.sh. With SUITES=full, as `make suites` sets it, they run at length.
. "$LZ_SRCDIR/tests/real/lib.sh"
. "$LZ_SRCDIR/tests/allocators.sh"
suites=$LZ_BUILDDIR/tests/suites
CC=${CC:-cc}
CXX=${CXX:-c++}

# at_length QUICK FULL: prints one of the two words.
at_length() {
  if [ "$SUITES" = full ]; then echo "$2"; else echo "$1"; fi
}

# file_of LIBRARY: the path where the dynamic linker finds it.
file_of() {
  LD_PRELOAD=$1 sh -c 'cat /proc/$$/maps' | awk -v name="$1" 'index($NF, name) { print $NF; exit }'
}

# run_with PRELOAD NAME COMMAND...: output, errors and status go to $work/NAME.
run_with() {
  preload=$1
  name=$2
  shift 2
  limit=120
  [ -z "$less" ] || limit=480
  # In a subshell, so that no message about a signal is printed here.
  (timeout $limit env ${preload:+LD_PRELOAD="$preload"} "$@" >"$work/$name" 2>&1
    echo "status $?" >>"$work/$name") 2>/dev/null
}

# same WHAT BARE NAME: the two runs had the same result.
same() {
  cmp -s "$work/$2" "$work/$3" && return
  fail "$1: not as bare"
  diff "$work/$2" "$work/$3" | cut -c 1-300 | head -n 12
}
