#!/bin/sh
# Resource limits at hostile values, few mappings left, a full memory control group: the program gets what it gets bare, or
# a clean ENOMEM; and is never ended for what we do.
. "$LZ_SRCDIR/tests/probe/lib.sh"
program=$probes/denied_syscalls

# clean WHAT: the run that just ended, status $?, said of each step that it was done or had no memory.
clean() {
  status=$?
  if [ $status -ne 0 ] || grep -Evq ': (done|ENOMEM)$' "$work/output"; then
    fail "$1: status $status: $(grep -Ev ': done$' "$work/output") $(head -n 3 "$work/errors")"
  fi
}

# limited HOW COMMAND...: with `ulimit HOW`; the limit binds what is run alone. Two of them do not bind root.
limited() {
  (how=$1; shift; ulimit $how && case $how in
  '-l '* | '-u '*) exec $as_user "$@" ;;
  esac; exec "$@")
}
as_user=
if [ "$(id -u)" -eq 0 ]; then
  as_user='setpriv --reuid 65534 --regid 65534 --clear-groups'
  if ! $as_user "$probes/denied_syscalls" run >/dev/null 2>&1; then
    echo 'not tested: limits of locked memory and processes, which do not bind root (setpriv)'
    as_user=
  fi
fi

# Everything is to be as it is bare. Outputs go through pipes, for the limit of file sizes is for them as well.
for how in '-n 0' '-n 3' '-l 0' '-s 64' '-f 0' '-c 0' '-u 1'; do
  # Without a descriptor the loader finds no library: the program lowers that limit itself.
  case $how in
  '-n '*) set -- '-c 0' "$program" lowered "${how#-n }" ;;
  *) set -- "$how" "$program" run ;;
  esac
  limit=$1
  shift
  { limited "$limit" "$@" 2>&1; echo "status $?"; } | cat >"$work/bare"
  for settings in LAZYZERO_LOG=stderr LAZYZERO_BACKING=window LAZYZERO_CACHE=0 "LAZYZERO_STATS=$work"; do
    {
      { limited "$limit" env LD_PRELOAD="$LZ_LIBRARY" $settings "$@"; echo "status $?"; } 2>&1 >&4 | cat >"$work/errors"
    } 4>&1 | cat >"$work/output"
    cmp -s "$work/bare" "$work/output" ||
      fail "ulimit $how, $settings: $(diff "$work/bare" "$work/output" | head -n 6) $(head -n 3 "$work/errors")"
    [ "$(wc -l <"$work/errors")" -le 1 ] || fail "ulimit $how, $settings: $(cat "$work/errors")"
  done
done

# Here a request may find no room that it finds bare, for a library takes some itself.
for settings in LAZYZERO_LOG=none 'LAZYZERO_LOG=none LAZYZERO_BACKING=window' 'LAZYZERO_LOG=none LAZYZERO_BUDGET=64K'; do
  for kilobytes in 30000 60000 120000 200000; do
    for which in -v -d; do
      limited "$which $kilobytes" timeout $hang env LD_PRELOAD="$LZ_LIBRARY" $settings "$program" run >"$work/output" 2>"$work/errors"
      clean "ulimit $which $kilobytes, $settings"
    done
  done
  for left in 1 2 3 5 10 30 100 1000; do
    run $settings "$program" crowded $left >"$work/output" 2>"$work/errors"
    status=$?
    [ $status -eq 77 ] && break
    (exit $status)
    clean "$left mappings left, $settings"
  done
done
[ "$status" -ne 77 ] || cat "$work/errors"

# --- a control group that is full ---

if make_group $((12 << 20)); then
  for settings in LAZYZERO_LOG=none 'LAZYZERO_LOG=none LAZYZERO_BACKING=window' 'LAZYZERO_LOG=none LAZYZERO_POLICY=refuse'; do
    for preload in '' "$LZ_LIBRARY"; do
      in_group env LD_PRELOAD="$preload" $settings "$program" run >"$work/output.${preload:+lazyzero}" 2>"$work/errors"
      echo $? >"$work/status.${preload:+lazyzero}"
    done
    if [ "$(cat "$work/status.")" -eq 0 ]; then
      cp "$work/output.lazyzero" "$work/output"
      (exit "$(cat "$work/status.lazyzero")")
      clean "12 MiB of memory, $settings"
    fi
  done
  remove_group
else
  echo 'not tested: a full control group: none can be made here'
fi
exit $failed
