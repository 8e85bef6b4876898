#!/bin/sh
# Bad values in the environment: the program runs as if they were not set, and one line says what is wrong.
. "$LZ_SRCDIR/tests/probe/lib.sh"
# On a window, requests would not be logged; with the cache, they would not be decided on again.
LAZYZERO_BACKING=zeropage LAZYZERO_CACHE=0
export LAZYZERO_BACKING LAZYZERO_CACHE

# run_with STATEMENT: runs a program with that environment; output in $work/output, messages in $work/errors.
run_with() {
  run "$@" "$probes/logging" events 1 >"$work/output" 2>"$work/errors"
  status=$?
  [ $status -eq 0 ] && [ "$(cat "$work/output")" = done ] ||
    fail "$(echo "$*" | cut -c 1-100): status $status"
}

# expect LINES TEXT: the messages have that many lines, each with the text.
expect() {
  [ "$(wc -l <"$work/errors")" -eq "$1" ] && [ "$(grep -c -- "$2" "$work/errors")" -eq "$1" ] ||
    fail "$(echo "$case" | cut -c 1-100): expected $1 lines with \"$2\", got: $(cut -c 1-300 "$work/errors")"
}

long=$(head -c 100000 /dev/zero | tr '\0' 9)
foreign=$(printf '\377\376\201')
control=$(printf 'a\001\033[31mb\nlazyzero[1] c')

for name in THRESHOLD MALLOC_THRESHOLD BUDGET; do
  for value in '' -1 -5M 99999999999999999999 99999999999999999999K 20000000T x 1Q 1.2.3 0x10 ' ' \
    "$foreign" "$control" "$long"; do
    case="LAZYZERO_$name=$value"
    run_with "$case"
    expect 1 "LAZYZERO_$name=.* is not accepted: it takes .*; using"
  done
done
for name in POLICY BACKING THP POPULATE LOG_FORMAT DISABLE; do
  for value in '' -1 2 refuse,log LOG "$foreign" "$control" "$long"; do
    case="LAZYZERO_$name=$value"
    run_with "$case"
    expect 1 "LAZYZERO_$name=.* is not accepted: it takes .*; using"
  done
done
for value in 0% 101% -5% 5%% % 5%x "$long%"; do
  case="LAZYZERO_BUDGET=$value"
  run_with "$case"
  [ "$(wc -l <"$work/errors")" -le 1 ] || fail "$case: $(cat "$work/errors")"
done
for value in malloc,x malloc,,mmap ,malloc MALLOC "$foreign" "$long"; do
  case="LAZYZERO_INTERCEPT=$value"
  run_with "$case"
  expect 1 'LAZYZERO_INTERCEPT=.* is not accepted'
done
for name in ONLY LOG STATS; do
  case="LAZYZERO_$name=$long"
  run_with "$case"
  expect 1 "LAZYZERO_$name=.* is not accepted"
done

case=LAZYZERO_BUGDET=1M
run_with "$case"
expect 1 'LAZYZERO_BUGDET is not a known variable; did you mean LAZYZERO_BUDGET?'
for case in LAZYZERO_=1 "LAZYZERO_$long=1" "LAZYZERO_$foreign=1" LAZYZERO_XYZZY=1; do
  run_with "$case"
  expect 1 'is not a known variable'
done
grep -q '[^ -~]' "$work/errors" && fail 'a message has bytes that are not printable ASCII'

# 1 MB is more than execve(2) passes in one string, so a preloaded library sets it.
for name in LAZYZERO_BUDGET LAZYZERO_LOG LAZYZERO_XYZZY; do
  case="$name of 1 MB"
  timeout $hang env PROBE_HUGE_VALUE=$name LD_PRELOAD="$LZ_LIBRARY $early" "$probes/logging" events 1 \
    >"$work/output" 2>"$work/errors" || fail "$case: status $?"
  expect 1 "$name"
done

# Where lazyzero is not to act, it logs nothing and does nothing, whatever else is set.
for case in LAZYZERO_DISABLE=1 LAZYZERO_ONLY=other LAZYZERO_ONLY=log:ogging:loggin \
  LAZYZERO_ONLY=/bin/logging; do
  run_with "$case" LAZYZERO_BUDGET=1M LAZYZERO_THP=nonsense LAZYZERO_XYZZY=1
  expect 0 .
done
for case in LAZYZERO_ONLY=logging LAZYZERO_ONLY=a:logging:b LAZYZERO_ONLY="$probes/logging" LAZYZERO_ONLY=; do
  run_with "$case" LAZYZERO_BUDGET=1M
  expect 1 'served calloc'
done

for case in malloc mmap malloc,mmap ''; do
  run_with LAZYZERO_INTERCEPT=$case LAZYZERO_BUDGET=1M
  expect 0 .
done
for case in calloc malloc,calloc calloc,mmap mmap,calloc,malloc,calloc; do
  run_with LAZYZERO_INTERCEPT=$case LAZYZERO_BUDGET=1M
  expect 1 'served calloc'
done

# LAZYZERO_ONLY along chains of exec and sh -c: active in the named program and in none of the others.
cat >"$work/chain-exec" <<'END'
exec env sh -c "exec \"\$0\" events 1" "$1"
END
cat >"$work/chain-shells" <<'END'
sh -c "sh -c '\"\$0\" events 1; exit' \"\$0\"; exit" "$1"
exit
END
for chain in chain-exec chain-shells; do
  for only in logging "$probes/logging" sh:logging ''; do
    case="LAZYZERO_ONLY=$only in $chain"
    run LAZYZERO_BUDGET=1M LAZYZERO_ONLY="$only" sh "$work/$chain" "$probes/logging" >"$work/output" 2>"$work/errors" ||
      fail "$case: status $?"
    [ "$(cat "$work/output")" = done ] || fail "$case: $(cat "$work/output")"
    expect 1 'served calloc'
  done
  for only in sh env:sh loggin; do
    case="LAZYZERO_ONLY=$only in $chain"
    run LAZYZERO_BUDGET=1M LAZYZERO_ONLY="$only" sh "$work/$chain" "$probes/logging" >"$work/output" 2>"$work/errors" ||
      fail "$case: status $?"
    [ "$(cat "$work/output")" = done ] || fail "$case: $(cat "$work/output")"
    expect 0 .
  done
done

# Programs that close all descriptors, including the library's, and then start other programs: large blocks
# work, and nothing is written to files opened since.
cat >"$work/closes" <<'END'
exec 3>"$1"
for fd in 0 1 2 4 5 6 7 8 9; do eval "exec $fd>&-"; done
"$2" events 1
echo "status $?" >&3
"$2" events 1 1>&3 2>/dev/null
exec 1>"$1.after" 2>/dev/null
exec "$2" events 1
END
sh "$work/closes" "$work/bare" "$probes/logging"
for backing in zeropage window; do
  case="descriptors closed, $backing"
  run LAZYZERO_BUDGET=1M LAZYZERO_BACKING=$backing sh "$work/closes" "$work/closed" "$probes/logging" || fail "$case: status $?"
  for file in '' .after; do
    cmp "$work/bare$file" "$work/closed$file" || fail "$case: $(cat "$work/closed$file")"
  done
  grep -qx done "$work/closed.after" || fail "$case: nothing was run"
done
if command -v python3 >/dev/null; then
  cat >"$work/closes.py" <<'END'
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None)
libc.calloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def use():
    for size in (64 << 20, 80 << 20):
        block = libc.calloc(1, size)
        assert ctypes.string_at(block + 12345, 1) == b"\0"
        ctypes.memset(block, 1, 1 << 20)
        libc.free(block)

use()
os.closerange(3, 1024)
opened = [os.open(sys.argv[1], os.O_RDWR | os.O_CREAT) for _ in range(200)]
assert opened == list(range(3, 203))
use()
assert os.fstat(opened[-1]).st_size == 0
for fd in opened:
    os.close(fd)
use()
subprocess.run([sys.executable, "-c", "print(sum(range(10)))"], close_fds=True, check=True)
if os.fork() == 0:
    os.closerange(3, 1024)
    use()
    os._exit(0)
assert os.wait()[1] == 0
print("fine")
END
  for settings in LAZYZERO_LOG=none 'LAZYZERO_BACKING=window LAZYZERO_LOG=none' "LAZYZERO_LOG=$work/python.log LAZYZERO_BUDGET=4K"; do
    { run $settings python3 "$work/closes.py" "$work/opened" >"$work/output" 2>&1 && grep -qx fine "$work/output"; } ||
      { fail "python3 closes all descriptors, $settings"; tail -n 3 "$work/output"; }
  done
fi

# All checks of the other probes that do not depend on regions being served.
for setting in LAZYZERO_DISABLE=1 LAZYZERO_INTERCEPT= LAZYZERO_INTERCEPT=mmap LAZYZERO_THP=never \
  LAZYZERO_THP=always LAZYZERO_POPULATE=read LAZYZERO_THRESHOLD=1 LAZYZERO_STATS="$work/stats"; do
  for probe in mmap concurrent; do
    # The probe maps 40 GiB; without a zero page, populating it would need that much memory.
    if [ "$setting $probe" = 'LAZYZERO_POPULATE=read mmap' ]; then
      "$LZ_BUILDDIR/tests/kernel" zero-page "$probe with $setting" || continue
    fi
    run $setting "$probes/$probe" >"$work/output" 2>"$work/errors" ||
      { fail "$probe with $setting"; head -n 5 "$work/errors"; }
  done
done
exit $failed
