#!/bin/sh
# The log with unusable output: the program always continues and exits normally, nothing blocks, no signal
# kills it, and nothing is written to files that the program did not start with as its stderr.
. "$LZ_SRCDIR/tests/probe/lib.sh"
# On a window, requests would not be logged; with the cache, they would not be decided on again.
LAZYZERO_BACKING=zeropage LAZYZERO_CACHE=0
export LAZYZERO_BACKING LAZYZERO_CACHE
small='LAZYZERO_BUDGET=1M'

# good WHAT: the program that just ran, with status $?, printed "done" and nothing else.
good() {
  status=$?
  [ $status -eq 0 ] || fail "$1: status $status"
  [ "$(cat "$work/output")" = done ] || fail "$1: output is not as it should be: $(cat "$work/output")"
}

# lines WHAT COUNT PATTERN: stderr has that many lines, all of which match.
lines() {
  [ "$(wc -l <"$work/errors")" -eq "$2" ] && [ "$(grep -c -- "$3" "$work/errors")" -eq "$2" ] ||
    fail "$1: expected $2 lines like \"$3\" on stderr, got: $(cat "$work/errors")"
}

run $small "$probes/logging" events 3 >"$work/output" 2>"$work/errors"
good stderr
lines stderr 3 'served calloc(8589934592) over the budget'

run $small "$probes/logging" events 3 >"$work/output" 2>&-
good 'fd 2 closed'

run $small "$probes/logging" reopen "$work/database" >"$work/output" 2>"$work/errors"
good 'fd 2 closed, then reopened'
[ -f "$work/database" ] && [ ! -s "$work/database" ] ||
  fail 'lazyzero wrote into a file the program opened as fd 2'

run $small "$probes/logging" reopen "$work/database" >"$work/output" 2>&-
good 'fd 2 closed at start and opened by the program'
[ ! -s "$work/database" ] || fail 'lazyzero wrote into a file the program opened as fd 2, closed at start'

run $small LAZYZERO_LOG=none "$probes/logging" events 3 >"$work/output" 2>"$work/errors"
good none
lines none 0 .

run $small LAZYZERO_LOG=fd:7 "$probes/logging" events 3 >"$work/output" 2>"$work/errors" 7>"$work/seven"
good fd:7
[ "$(grep -c 'served calloc' "$work/seven")" -eq 3 ] || fail "fd:7: $(cat "$work/seven")"

run $small LAZYZERO_LOG=fd:9 "$probes/logging" events 3 >"$work/output" 2>"$work/errors" 9>&-
good 'fd:9, not open'
[ "$(wc -l <"$work/errors")" -le 1 ] || fail "fd:9, not open: $(cat "$work/errors")"

run $small LAZYZERO_LOG="$work/log.%p.%e.%%" "$probes/logging" events 3 >"$work/output" 2>"$work/errors"
good 'a file'
lines 'a file' 0 .
set -- "$work"/log.[0-9]*.logging.%
[ $# -eq 1 ] && [ -f "$1" ] && [ "$(wc -l <"$1")" -eq 3 ] || fail "a file named with %p and %e: $*"
[ "$(stat -c %a "$1" 2>/dev/null)" = 600 ] || fail "the log file's mode is $(stat -c %a "$1")"

(cd "$work" && run $small LAZYZERO_LOG=relative.log "$probes/logging" events 3 \
  >"$work/output" 2>"$work/errors")
good 'a relative path'
[ "$(wc -l <"$work/relative.log")" -eq 3 ] ||
  fail 'a relative path is not taken from where the program started'

cannot='cannot write the log'
ln -s "$work/target" "$work/link"
mkfifo "$work/fifo"
mkdir "$work/directory"
for target in /dev/full /proc/nowhere/log "$work/missing/log" "$work/link" "$work/fifo" "$work/directory"; do
  run $small LAZYZERO_LOG="$target" "$probes/logging" events 3 >"$work/output" 2>"$work/errors"
  good "$target"
  lines "$target" 1 "$cannot"
done
[ ! -e "$work/target" ] || fail 'a link was followed'

# Root can write to read-only directories, so a read-only mount is used.
if [ "$(id -u)" -ne 0 ]; then
  chmod 500 "$work/directory"
  run $small LAZYZERO_LOG="$work/directory/log" "$probes/logging" events 3 >"$work/output" 2>"$work/errors"
  good 'a read-only directory'
  lines 'a read-only directory' 1 "$cannot"
  chmod 700 "$work/directory"
elif unshare -m true 2>/dev/null; then
  timeout 60 unshare -m sh -c 'mount -t tmpfs -o ro none "$1" && shift && exec env "$@"' sh \
    "$work/directory" $small LAZYZERO_LOG="$work/directory/log" LD_PRELOAD="$LZ_LIBRARY" "$probes/logging" events 3 \
    >"$work/output" 2>"$work/errors"
  good 'a read-only file system'
  lines 'a read-only file system' 1 "$cannot"
else
  echo 'not tested: a read-only directory (running as root, and unshare -m is not allowed)'
fi

for action in broken-pipe full-pipe; do
  run $small "$probes/logging" $action >"$work/output" 2>"$work/errors"
  good $action
done

# stdout must not be a file here, because the limit applies to it as well.
{
  run $small LAZYZERO_LOG="$work/limited" "$probes/logging" limit 2>"$work/errors"
  echo "status $?"
} | cat >"$work/output"
grep -qx 'status 0' "$work/output" || fail "RLIMIT_FSIZE 0: $(cat "$work/output")"
[ ! -s "$work/limited" ] || fail 'RLIMIT_FSIZE 0 and yet something was written'

run $small LAZYZERO_LOG=/dev/full "$probes/logging" handlers >"$work/output" 2>"$work/errors"
good "a program that handles SIGPIPE"

# Each child counts its own events.
run $small "$probes/logging" forks >"$work/output" 2>"$work/errors"
good forks
[ "$(grep -c 'not shown' "$work/errors")" -eq 1 ] ||
  fail "children repeat lines that their parent did not log: $(grep 'not shown' "$work/errors")"

run $small LAZYZERO_LOG=syslog "$probes/logging" events 3 >"$work/output" 2>"$work/errors"
good syslog
exit $failed
