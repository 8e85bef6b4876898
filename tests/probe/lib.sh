# Shared by the probe scripts, which source this file first; $probes contains the programs.
export LC_ALL=C
. "$LZ_SRCDIR/tests/allocators.sh"
probes=$LZ_BUILDDIR/tests/probe
# Preloaded behind the library in all runs, also in those without it: see tests/facts/old_kernels.sh.
beside=${LZ_BESIDE:+ $LZ_BESIDE}
early=$probes/.libs/early_constructor.so$beside
tight="LAZYZERO_BUDGET=1M LAZYZERO_POLICY=log LAZYZERO_LOG=none LAZYZERO_THRESHOLD=64K"
tight="$tight LAZYZERO_MALLOC_THRESHOLD=128K LAZYZERO_CACHE=0"
failed=0
hang=240 # seconds: a probe that ends in one on real hardware took 60 on a busy virtual machine

[ -f "$LZ_LIBRARY" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-probe.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
  echo "FAILED: $*"
  failed=1
}

# The library must be active, or every comparison would succeed.
timeout $hang env LAZYZERO_BUDGET=1M LAZYZERO_BACKING=zeropage LD_PRELOAD="$LZ_LIBRARY" "$probes/logging" events 1 2>&1 |
  grep -q '^lazyzero.*served calloc' ||
  fail "$LZ_LIBRARY does nothing when it is preloaded"

# run_everywhere PROBE [VARIABLE=VALUE...]: the probe in every place, above every allocator, with default and
# with tight settings, or with the given ones only. Its output must equal that of a run without lazyzero.
run_everywhere() {
  probe=$1
  shift
  less=
  if "$LZ_BUILDDIR/tests/kernel" slow-faults \
    "$probe with default settings above other allocators, in two of five places"; then less=1; fi
  for allocator in '' $(find_allocators); do
    known=
    [ -z "$allocator" ] || known="PROBE_ALLOCATOR=$allocator"
    for settings in default tight; do
      set_to=$*
      if [ -n "$set_to" ]; then
        [ $settings = default ] || continue
      elif [ $settings = tight ]; then
        set_to=$tight
      fi
      timeout $hang env $known $set_to LD_PRELOAD="$early $allocator" "$probes/$probe" \
        >"$work/expected" 2>"$work/errors" ||
        { fail "$probe without lazyzero, allocator ${allocator:-of libc}"; head -n 5 "$work/errors"; }
      for place in main thread fork constructor later-constructor; do
        case "$less $allocator $settings $place" in
        *later-constructor | *main) ;;
        1\ lib*\ default\ *) continue ;;
        esac
        case $place in
        later-constructor) libraries="$early $LZ_LIBRARY $allocator" ;;
        *) libraries="$LZ_LIBRARY $early $allocator" ;;
        esac
        timeout $hang env $known $set_to PROBE_WHERE="${place#later-}" LD_PRELOAD="$libraries" "$probes/$probe" \
          >"$work/output" 2>"$work/errors"
        status=$?
        what="$probe in $place, allocator ${allocator:-of libc}, $settings settings"
        if [ $status -ne 0 ]; then
          fail "$what: status $status"
          grep -v '^lazyzero\[' "$work/errors" | head -n 10
        elif ! cmp -s "$work/expected" "$work/output"; then
          fail "$what: the output differs from a run without lazyzero"
          diff "$work/expected" "$work/output" | head -n 10
        fi
      done
    done
  done
}

# run_windowed PROBE: the same above the C library's allocator only, with everything on a zero window that can
# be.
run_windowed() {
  small='LAZYZERO_THRESHOLD=64K LAZYZERO_MALLOC_THRESHOLD=128K LAZYZERO_LOG=none'
  for settings in "LAZYZERO_BACKING=window $small" "LAZYZERO_BUDGET=16K LAZYZERO_CACHE=0 $small"; do
    timeout $hang env $small LD_PRELOAD="$early" "$probes/$1" >"$work/expected" 2>"$work/errors" ||
      { fail "$1 without lazyzero"; head -n 5 "$work/errors"; }
    for place in main thread fork constructor; do
      timeout $hang env $settings PROBE_WHERE=$place LD_PRELOAD="$LZ_LIBRARY $early" "$probes/$1" \
        >"$work/output" 2>"$work/errors" ||
        { fail "$1 in $place with $settings: status $?"; head -n 10 "$work/errors"; }
      cmp -s "$work/expected" "$work/output" ||
        { fail "$1 in $place with $settings: the output differs"; diff "$work/expected" "$work/output" | head -n 10; }
    done
  done
}

# make_group BYTES: creates a memory control group; its path is $group. Fails if none can be created.
make_group() {
  for parent in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    group=$parent/lazyzero-probe.$$
    [ -d "$parent" ] && mkdir "$group" 2>/dev/null || continue
    for limit in memory.limit_in_bytes memory.max; do
      if [ -f "$group/$limit" ] && echo "$1" >"$group/$limit" 2>/dev/null; then
        trap 'rmdir "$group" 2>/dev/null; rm -rf "$work"' EXIT
        return 0
      fi
    done
    rmdir "$group"
  done
  return 1
}

# in_group COMMAND...: runs in that group, with a time limit.
in_group() {
  timeout $hang sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$group" "$@"
}

# remove_group: removes the group, which must be empty.
remove_group() {
  rmdir "$group" || fail "the control group $group stays"
}

# needs_window: skips the test if no zero window can be created, and prints the reason.
needs_window() {
  run LAZYZERO_BACKING=window "$probes/logging" events 1 >"$work/output" 2>&1
  if grep -q 'no zero window' "$work/output"; then
    grep 'no zero window' "$work/output"
    exit 77
  fi
}

# run [VARIABLE=VALUE...] PROGRAM [ARGUMENT...]: preloaded, with a time limit that is not preloaded.
run() {
  timeout $hang env LD_PRELOAD="$LZ_LIBRARY$beside" "$@"
}
