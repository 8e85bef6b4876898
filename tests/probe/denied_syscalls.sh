#!/bin/sh
# The kernel refuses one system call, always or at its nth occurrence: the program gets the result that it
# gets without lazyzero under the same kernel, or a clean ENOMEM, and at most one log line.
. "$LZ_SRCDIR/tests/probe/lib.sh"
program=$probes/denied_syscalls
EPERM=1 ENOSYS=38

# heard WHAT: no line on stderr is repeated, apart from its numbers.
heard() {
  twice=$(grep -v ' of page tables needed' "$work/errors" | sed 's/[0-9][0-9.]*//g' | sort | uniq -d)
  [ -z "$twice" ] || fail "$1: repeated lines: $twice"
}

# --- always, by a filter that also applies to the program's own calls ---

"$program" prctl $EPERM nothing >"$work/output" 2>&1
if [ $? -eq 77 ]; then
  cat "$work/output"
  exit 77
fi
for case in $("$program" cases); do
  for error in $EPERM $ENOSYS; do
    timeout $hang "$program" "$case" $error run >"$work/bare" 2>&1
    bare=$?
    for settings in LAZYZERO_LOG=stderr LAZYZERO_BACKING=window 'LAZYZERO_BUDGET=64K LAZYZERO_CACHE=0' "LAZYZERO_STATS=$work"; do
      run $settings "$program" "$case" $error run >"$work/output" 2>"$work/errors"
      [ $? -eq $bare ] && cmp -s "$work/bare" "$work/output" ||
        fail "$case, error $error, $settings: $(diff "$work/bare" "$work/output" | head -n 5) $(head -n 3 "$work/errors")"
      heard "$case, error $error, $settings"
    done
  done
done

# --- the first, the nth, and all from the nth on, by strace ---

if ! command -v strace >/dev/null || ! strace -o /dev/null -e inject=getppid:error=EPERM true 2>/dev/null; then
  echo 'not tested: single calls: no strace, or it may not trace'
  exit $failed
fi
# counted CALL SETTINGS ARGUMENT: how often the program makes that call.
counted() {
  strace -f -o "$work/trace" -e trace="$1" env $2 LD_PRELOAD="$LZ_LIBRARY" "$program" "$3" >/dev/null 2>&1
  grep -c "$1(" "$work/trace"
}

# The dynamic linker needs the calls of start-up; after it, any call may fail.
for settings in LAZYZERO_BACKING=zeropage LAZYZERO_BACKING=window; do
  for call in mmap munmap mremap mprotect madvise ioctl openat read close memfd_create ftruncate fcntl mlock prlimit64; do
    first=$(counted $call $settings nothing)
    last=$(counted $call $settings run)
    n=$((first + 1)) step=1
    while [ $n -le "$last" ]; do
      for when in $n $n+; do
        strace -f -o /dev/null -e trace=$call -e inject=$call:error=ENOMEM:when=$when \
          env $settings LD_PRELOAD="$LZ_LIBRARY" "$program" run >"$work/output" 2>"$work/errors"
        status=$?
        [ $status -eq 0 ] && ! grep -q WRONG "$work/output" && ! grep -Ev ': (done|ENOMEM)$' "$work/output" ||
          fail "$call, $when of $last, $settings: status $status: $(head -n 5 "$work/output") $(head -n 3 "$work/errors")"
        heard "$call, $when of $last, $settings"
      done
      n=$((n + step)) step=$((step * 4))
    done
  done
done
exit $failed
