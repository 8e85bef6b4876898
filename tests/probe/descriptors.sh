#!/bin/sh
# Programs that inspect their descriptors, close them, or may no longer open files: each part of descriptors.c
# without lazyzero, and with default settings, near the budget, and on windows.
. "$LZ_SRCDIR/tests/probe/lib.sh"

# part NAME: with all settings.
part() {
  timeout $hang "$probes/descriptors" "$@" </dev/null >"$work/output" 2>"$work/errors"
  case $? in
  0) ;;
  77) cat "$work/output"; return ;;
  *) fail "$*, without lazyzero"; head -n 5 "$work/errors"; return ;;
  esac
  for settings in LAZYZERO_LOG=none 'LAZYZERO_BUDGET=64K LAZYZERO_BACKING=zeropage' LAZYZERO_BACKING=window \
    LAZYZERO_CACHE=0; do
    run $settings "$probes/descriptors" "$@" </dev/null >"$work/output" 2>"$work/errors"
    status=$?
    [ $status -eq 0 ] || { fail "$*, $settings: status $status"; grep -v '^lazyzero\[' "$work/errors" | head -n 8; }
  done
  tail -n 1 "$work/errors" | grep 'children inherited'
}

# Written pages are not visible before Linux 6.7, a fork not before Linux 4.14.
part closed
part children
part setuid
part seccomp
part leader
part race
part tables
for limit in 16 64 256 1024; do
  (
    ulimit -n $limit || exit 77
    run LAZYZERO_LOG=none "$probes/descriptors" limit $limit >"$work/output" 2>"$work/errors"
  )
  status=$?
  case $status in
  0) ;;
  77) echo "skipped: RLIMIT_NOFILE of $limit cannot be set" ;;
  *) fail "RLIMIT_NOFILE $limit: status $status"; head -n 8 "$work/errors" ;;
  esac
done

# bash takes a close-on-exec descriptor from 10 on for one that it saved itself: `exec N>file` has to work with every N.
if command -v bash >/dev/null; then
  for n in 10 63 200 255 1019 1020 1021 1022 1023; do
    run LAZYZERO_LOG=none bash -c "ulimit -n 1024; exec $n>'$work/redirected'; echo hello >&$n" 2>"$work/errors"
    [ "$(cat "$work/redirected")" = hello ] || { fail "bash: exec $n>file: $(cat "$work/errors")"; }
  done
fi

# A program with many uses of descriptors.
if command -v python3 >/dev/null; then
  cat >"$work/fds.py" <<'P'
import os, subprocess, sys
block = bytearray(48 << 20)
for close in (True, False):
    out = subprocess.run([sys.executable, "-S", "-c", "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"],
                         env={"PATH": os.environ["PATH"]}, close_fds=close, capture_output=True, text=True)
    print(close, out.stdout.strip(), out.returncode)
os.closerange(3, 1024)
fd = os.open("/dev/null", os.O_RDONLY)
print(fd)
block = bytearray(48 << 20)
block = None
block = bytearray(48 << 20)
print(os.open("/dev/null", os.O_RDONLY), sum(block[::4096]))
P
  PYTHONMALLOC=malloc python3 "$work/fds.py" </dev/null >"$work/expected" 2>&1
  for settings in LAZYZERO_LOG=none "$tight" LAZYZERO_BACKING=window; do
    run $settings PYTHONMALLOC=malloc python3 "$work/fds.py" </dev/null >"$work/output" 2>&1
    cmp -s "$work/expected" "$work/output" ||
      { fail "python3 sees other descriptors, $settings"; diff "$work/expected" "$work/output"; }
  done
else
  echo "skipped: python3 is missing"
fi

# After start-up the kept descriptors are used and no file is opened: strace shows every reuse.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  timeout $hang strace -f -o "$work/trace" -E LD_PRELOAD="$LZ_LIBRARY" "$probes/descriptors" setuid >/dev/null 2>&1
  scans=$(sed '1,/setuid(65534)/d' "$work/trace" | grep -c 'ioctl(.* = [0-9]')
  opens=$(sed '1,/setuid(65534)/d' "$work/trace" | grep -c '/proc/thread-self\|/proc/self/[ms][at]')
  if grep -q 'setuid(65534)' "$work/trace"; then
    [ "$scans" -ge 3 ] || fail "after setuid pages were scanned $scans times"
    [ "$opens" -eq 0 ] || fail "after setuid files of /proc were opened $opens times"
  fi
else
  echo "skipped: strace is missing or may not trace"
fi
exit $failed
