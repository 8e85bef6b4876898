#!/bin/sh
# Processes that share a budget (LAZYZERO_BUDGET_SCOPE): the sum of all of them decides, dead processes leave it, a
# forked child does not count its parent's memory again, and where a group cannot be used, the budget counts for each
# process alone, with one line that says why.
. "$LZ_SRCDIR/tests/probe/lib.sh"
program=$probes/group
name=lazyzero-test-$$
scope="LAZYZERO_BUDGET_SCOPE=group:$name"
# 1 GiB needs 2 MiB of page tables, so two processes with 1 GiB each exceed the budget together.
small='LAZYZERO_BUDGET=3M LAZYZERO_BACKING=zeropage'
shm=/dev/shm

[ -w $shm ] || { echo "skipped: $shm is missing"; exit 77; }

# group_file: the file of the group in use.
group_file() {
  grep -l " $name\$" $shm/lazyzero-* 2>/dev/null | head -n 1
}

# start NAME [SETTING...] -- STEP...: runs the steps in the background, until one of them waits. Sets $started.
start() {
  which=$1
  shift
  set_to=
  while [ "$1" != -- ]; do set_to="$set_to $1"; shift; done
  shift
  rm -f "$work/$which.in"
  mkfifo "$work/$which.in"
  timeout $hang ${enter:-} env LD_PRELOAD="$LZ_LIBRARY" $set_to "$program" "$@" <"$work/$which.in" \
    >"$work/$which.out" 2>"$work/$which.err" &
  started=$!
  exec 3>"$work/$which.in"
  for i in $(seq 200); do
    grep -q waiting "$work/$which.out" && return 0
    sleep 0.1
  done
  fail "$which does not wait: $(cat "$work/$which.err")"
}

# child_of PID: timeout(1) and unshare(1) have one child each.
child_of() {
  read -r child rest <"/proc/$1/task/$1/children"
  echo "$child"
}

# finish: lets the process that was started end.
finish() {
  exec 3>&-
  wait "$started"
}

# over [SETTING...]: a second process commits 1 GiB; its log line is in $line, "" if it is within the budget.
over() {
  line=$(timeout $hang env LD_PRELOAD="$LZ_LIBRARY" $small $scope "$@" "$program" calloc:1024 2>&1)
}

expect_within() {
  [ -z "$line" ] || fail "$1: within the budget, but: $line"
}

expect_over() {
  case $line in
  *"over the budget: 2.0"?" MiB of page tables needed"*"in use by 2 processes of group \"$name\", "*"budget 3.00 MiB"*) ;;
  *) fail "$1: no line about the group: $line" ;;
  esac
}

# --- the sum, and dead processes ---

over
expect_within 'a process alone'
start first $small $scope -- calloc:1024 wait
over
expect_over 'two processes'
case $line in
*"2.0"?" MiB by the largest, process $(child_of $started), "*) ;;
*) fail "the largest process is not named: $line" ;;
esac
over LAZYZERO_BUDGET_SCOPE=process
expect_within 'scope process'
over LAZYZERO_LOG_FORMAT=json
case $line in
*"\"group\":\"$name\",\"group_processes\":2,\"group_page_tables\":"*",\"group_largest\":"*",\"group_largest_pid\":"*) ;;
*) fail "JSON: $line" ;;
esac
over LAZYZERO_POLICY=refuse
case $line in
*refused*ENOMEM*) ;;
*) fail "refuse: $line" ;;
esac
kill -KILL "$(child_of $started)"
finish 2>/dev/null
sleep 0.6
over
expect_within 'after the other process was killed'

# --- fork and exec ---

start parent $small $scope -- calloc:1024 fork:20 wait
over LAZYZERO_BUDGET=6M
expect_within '20 children of a process with 2 MiB'
finish
start replaced $small $scope -- calloc:1024 exec
sleep 0.6
over
expect_within 'a process that executed another program'
kill "$(child_of $started)"
finish 2>/dev/null

# --- a PID namespace of its own ---

if unshare -p -f true 2>/dev/null; then
  enter='unshare -p -f'
  start inside $small $scope -- calloc:1024 wait
  enter=
  over
  expect_over 'a process in another PID namespace'
  kill -KILL "$(child_of "$(child_of $started)")"
  finish 2>/dev/null
  sleep 0.6
  over
  expect_within 'after the process in another PID namespace was killed'
else
  echo 'not tested: another PID namespace (unshare)'
fi

# --- processes that come and go ---

timeout $hang env LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_LOG=none $small $scope "$program" turnover:${LZ_TURNOVER_SECONDS:-5} ||
  fail "turnover: status $?"
sleep 0.6
over
expect_within 'after 200 processes have come and gone'

# --- a group that cannot be used ---

# unusable TEXT: exactly one line, which has this text; the request is served.
unusable() {
  line=$(timeout $hang ${enter:-} env LD_PRELOAD="$LZ_LIBRARY" $scope "$program" calloc:1024 2>&1)
  case $line in
  *"
"*) fail "more than one line: $line" ;;
  *"LAZYZERO_BUDGET_SCOPE=group:$name is not possible, the budget counts for this process alone: "*"$1"*) ;;
  *) fail "no line says \"$1\": $line" ;;
  esac
}

file=$(group_file)
[ -n "$file" ] || fail "the group has no file in $shm"
echo 'lazyzero-group 12x' >"$file"
unusable 'this is not the file of a group; remove it'
echo "lazyzero-group 2147483647 $name" >"$file"
over
expect_within 'a file that names a segment that is gone'
if [ "$(id -u)" -eq 0 ]; then
  chown 65534 "$file"
  unusable 'the file belongs to another user'
else
  echo "not tested: another user's file (only root can make one)"
fi
rm -f "$file"
if unshare -m true 2>/dev/null; then
  enter="unshare -m sh -c 'mount -t tmpfs -o nr_blocks=1 none $shm; dd if=/dev/zero of=$shm/full bs=64k 2>/dev/null; exec \"\$@\"' -"
  eval "full() { $enter \"\$@\"; }"
  line=$(full env LD_PRELOAD="$LZ_LIBRARY" $scope "$program" calloc:1024 2>&1)
  case $line in
  *"$shm/lazyzero-"*": No space left on device"*) ;;
  *) fail "a full $shm: $line" ;;
  esac
  line=$(unshare -m sh -c "mount -t tmpfs -o ro none $shm; exec \"\$@\"" - env LD_PRELOAD="$LZ_LIBRARY" $scope "$program" calloc:1024 2>&1)
  case $line in
  *"$shm/lazyzero-"*": Read-only file system"*) ;;
  *) fail "a read-only $shm: $line" ;;
  esac
else
  echo 'not tested: a full and a read-only file system (unshare)'
fi
timeout $hang env LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_BUDGET_SCOPE=run:2147483647 "$program" calloc:1024 2>&1 |
  grep -q "the group of 'lazyzero run' cannot be joined: it has ended" || fail 'a run that has ended'
timeout $hang env LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_BUDGET_SCOPE=all "$program" 2>&1 |
  grep -q 'LAZYZERO_BUDGET_SCOPE="all" is not accepted: it takes process, group, or group:NAME' || fail 'an unknown scope'

# --- lazyzero run, in a control group: 24 children read 3 GiB each ---

# Where reads take memory, only a window serves more than the group has.
herd_backing=
"$LZ_BUILDDIR/tests/kernel" zero-page 'processes that share a budget, not on a window' ||
  herd_backing=LAZYZERO_BACKING=window
if make_group $((128 << 20)); then
  in_group env $herd_backing "$LZ_COMMAND" run --library="$LZ_LIBRARY" "$program" herd:24:3072 >"$work/herd" 2>&1
  grep -q '^done 24, refused 0, killed 0$' "$work/herd" || { fail 'run, default settings'; cat "$work/herd"; }
  if [ -z "$herd_backing" ]; then
    in_group env LAZYZERO_POLICY=refuse LAZYZERO_BACKING=zeropage "$LZ_COMMAND" run --library="$LZ_LIBRARY" "$program" \
      herd:24:3072 >"$work/herd" 2>&1
    grep -Eq '^done [1-9], refused [12][0-9], killed 0$' "$work/herd" || { fail 'run, refuse'; cat "$work/herd"; }
  fi
  # Without a name or a run, the control group is the group.
  in_group env $herd_backing LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_BUDGET_SCOPE=group LAZYZERO_LOG=none "$program" herd:24:3072 >"$work/herd" 2>&1
  grep -q '^done 24, refused 0, killed 0$' "$work/herd" || { fail 'the control group as group'; cat "$work/herd"; }
  rm -f $(grep -l "control group .*$(basename "$group")" $shm/lazyzero-* 2>/dev/null)
  remove_group
else
  echo 'not tested: children in a control group: none can be made here'
fi
exit $failed
