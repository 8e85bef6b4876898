#!/bin/sh
# What another user could bend: the environment of a privileged program, files in a shared directory, the window.
. "$LZ_SRCDIR/tests/probe/lib.sh"

# --- set-uid programs and those with file capabilities take no orders from the environment ---

nobody=65534
as_nobody() {
  setpriv --reuid=$nobody --regid=$nobody --clear-groups --inh-caps=-all -- "$@"
}

# obeys WHAT PROGRAM EXPECTED
obeys() {
  rm -f "$work"/public/*
  as_nobody env LAZYZERO_BUDGET=1M LAZYZERO_POLICY=refuse LAZYZERO_BACKING=zeropage LAZYZERO_LOG="$work/public/log" \
    LAZYZERO_STATS="$work/public/stats" "$2" >"$work/output" 2>"$work/errors"
  if [ "$3" = 'secure 1, served' ] && grep -q '^secure 0' "$work/output"; then
    echo "not tested: $1: the file system does not honour it"
    return
  fi
  [ "$(cat "$work/output")" = "$3" ] && [ ! -s "$work/errors" ] ||
    fail "$1: $(cat "$work/output" "$work/errors"), expected $3"
  files=$(ls "$work/public" | wc -l)
  [ "$files" -eq "$4" ] || fail "$1: $files files were made, expected $4"
}

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
  chmod 755 "$work"
  mkdir -m 777 "$work/public"
  for kind in plain set-uid capable; do cp "$probes/secure_mode" "$work/$kind"; done
  chmod 4755 "$work/set-uid"
  chmod 755 "$work/plain" "$work/capable"
  obeys 'a plain program' "$work/plain" 'secure 0, refused' 2
  obeys 'a set-uid program' "$work/set-uid" 'secure 1, served' 0
  if command -v setcap >/dev/null && setcap cap_net_bind_service+ep "$work/capable" 2>/dev/null; then
    obeys 'a program with a file capability' "$work/capable" 'secure 1, served' 0
  else
    echo 'not tested: file capabilities: no setcap (libcap2-bin), or none to be had here'
  fi
else
  echo 'not tested: set-uid and file capabilities: not root, or no setpriv (util-linux)'
fi

# --- files that somebody else prepared ---

small='LAZYZERO_BUDGET=1M LAZYZERO_BACKING=zeropage LAZYZERO_CACHE=0'

# unharmed WHAT VARIABLE=PATH VICTIM: the program runs, one line complains, and the victim is what it was.
unharmed() {
  before=$(stat -c '%s %a %u' "$3" 2>/dev/null)
  run $small "$2" "$probes/logging" events 3 >"$work/output" 2>"$work/errors"
  status=$?
  [ $status -eq 0 ] && [ "$(cat "$work/output")" = done ] || fail "$1: status $status"
  [ "$(grep -c "cannot" "$work/errors")" -eq 1 ] || fail "$1: $(cat "$work/errors")"
  [ "$(stat -c '%s %a %u' "$3" 2>/dev/null)" = "$before" ] || fail "$1: $3 was $before"
}

echo precious >"$work/victim"
ln -s victim "$work/link"
ln -s nowhere "$work/dangling"
for variable in LAZYZERO_LOG LAZYZERO_STATS; do
  unharmed "$variable to a link" "$variable=$work/link" "$work/victim"
  unharmed "$variable to a dangling link" "$variable=$work/dangling" "$work/nowhere"
done
unharmed 'statistics over a file that is none' "LAZYZERO_STATS=$work/victim" "$work/victim"
if [ "$(id -u)" -eq 0 ]; then
  # chown of a file that a statistics file would look like, for the owner to be what is looked at.
  for file in log stats; do
    : >"$work/others-$file"
    chmod 666 "$work/others-$file"
    chown $nobody "$work/others-$file"
  done
  unharmed "a log that is another user's" "LAZYZERO_LOG=$work/others-log" "$work/others-log"
  unharmed "statistics that are another user's" "LAZYZERO_STATS=$work/others-stats" "$work/others-stats"
else
  echo "not tested: another user's files: not root"
fi

# The umask gives nothing away that 0600 does not.
(
  umask 0
  mkdir "$work/open"
  run $small LAZYZERO_LOG="$work/open/%e.%p" LAZYZERO_STATS="$work/open" "$probes/logging" events 1
) >"$work/output" 2>"$work/errors"
modes=$(stat -c %a "$work"/open/* | sort | uniq -c | tr -s ' ')
[ "$modes" = ' 2 600' ] || fail "modes of log and statistics: $modes"

# --- names and values from outside ---

# %e is the last part of the name that the program was started by, so nothing leaves the directory.
mkdir -p "$work/in/deep"
cp "$probes/logging" "$work/in/..%p"
(cd "$work/in/deep" && run $small LAZYZERO_LOG="$work/in/deep/%e%%" "../..%p" events 1) >"$work/output" 2>"$work/errors"
[ "$(ls -A "$work/in/deep")" = '..%p%' ] ||
  fail "the log of ../..%p is in $(cd "$work" && find . -newer "$work/in/..%p" -type f)"

# Text of the environment is never a format, and a megabyte of it neither kills nor is read twice.
run $small LAZYZERO_BUDGET='%s%s%n%n%999999999d' LAZYZERO_POLICY=%n LAZYZERO_LOG="$work/%s%n%x%%" LAZYZERO_ONLY='%n%s' \
  LAZYZERO_STATS="$work/%n%s" LAZYZERO_THP='%s%n' "$probes/logging" events 1 >"$work/output" 2>"$work/errors" &&
  [ "$(cat "$work/output")" = done ] || fail "formats: $(cat "$work/errors")"
long=$(head -c 120000 /dev/zero | tr '\0' x)
set --
for name in BUDGET POLICY THRESHOLD LOG STATS ONLY INTERCEPT UNKNOWN; do set -- "$@" "LAZYZERO_$name=$long"; done
for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do for k in 1 2 3 4 5 6 7 8 9; do
  set -- "$@" "LAZYZERO_X$i$j$k=y"
done; done; done
run "$@" "$probes/logging" events 1 >"$work/output" 2>"$work/errors" && [ "$(cat "$work/output")" = done ] ||
  fail "a megabyte of environment: $(cut -c 1-200 "$work/errors" | head -n 3)"
[ "$(wc -c <"$work/errors")" -lt 65536 ] || fail "a megabyte of environment: $(wc -l <"$work/errors") lines about it"

# --- the window is sealed before a region maps it ---

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  strace -f -o "$work/trace" -e trace=memfd_create,ftruncate,fcntl,mmap,mremap,close \
    env LAZYZERO_BACKING=window LD_PRELOAD="$LZ_LIBRARY" "$probes/logging" events 1 >"$work/output" 2>"$work/errors"
  awk '
    /memfd_create\(/ && $NF ~ /^[0-9]+$/ { fd = low = $NF; made++; cloexec = /MFD_CLOEXEC/ }
    made && $0 ~ "fcntl\\(" low ", F_DUPFD_CLOEXEC, " && $NF ~ /^[0-9]+$/ { fd = $NF }
    made && $0 ~ "fcntl\\(" fd ", F_ADD_SEALS, .*F_SEAL_WRITE" && / = 0$/ { sealed = 1 }
    made && !sealed && $0 ~ "mmap\\(.*MAP_PRIVATE.*, " fd ", " { early = $0 }
    made && $0 ~ "mmap\\(.*MAP_SHARED.*, " fd ", " && sealed { late = $0 }
    END {
      if (!made) exit 2
      if (!sealed) print "never sealed"
      if (early != "") print "mapped before: " early
      if (late != "") print "mapped shared after: " late
      if (!cloexec) print "not close-on-exec"
    }' "$work/trace" >"$work/order"
  case $? in
  0) [ ! -s "$work/order" ] || fail "the window: $(cat "$work/order")" ;;
  *) echo 'not tested: the order of sealing: no window was made here' ;;
  esac
else
  echo 'not tested: the order of sealing: no strace'
fi
exit $failed
