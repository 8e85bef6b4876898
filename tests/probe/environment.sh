#!/bin/sh
# Bad values in the environment: the program runs as if they were not there, and one clear line says what
# is wrong.
. "$LZ_SRCDIR/tests/probe/lib.sh"
# The window would answer what is logged here, and what is kept would not ask again.
LAZYZERO_BACKING=zeropage LAZYZERO_CACHE=0
export LAZYZERO_BACKING LAZYZERO_CACHE

# run_with STATEMENT: a program with that in its environment; output in $work/output, messages in
# $work/errors.
run_with() {
  run "$@" "$probes/logging" events 1 >"$work/output" 2>"$work/errors"
  status=$?
  [ $status -eq 0 ] && [ "$(cat "$work/output")" = done ] ||
    fail "$(echo "$*" | cut -c 1-100): status $status"
}

# expect LINES TEXT: so many lines, each with the text.
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

# 1 MB: more than execve(2) passes in one string, so another library puts it there.
for name in LAZYZERO_BUDGET LAZYZERO_LOG LAZYZERO_XYZZY; do
  case="$name of 1 MB"
  timeout $hang env PROBE_HUGE_VALUE=$name LD_PRELOAD="$LZ_LIBRARY $early" "$probes/logging" events 1 \
    >"$work/output" 2>"$work/errors" || fail "$case: status $?"
  expect 1 "$name"
done

# Where lazyzero is not to act, it says nothing and does nothing, whatever else is set.
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

# Every check of the other probes that does not depend on being served.
for setting in LAZYZERO_DISABLE=1 LAZYZERO_INTERCEPT= LAZYZERO_INTERCEPT=mmap LAZYZERO_THP=never \
  LAZYZERO_THP=always LAZYZERO_POPULATE=read LAZYZERO_THRESHOLD=1 LAZYZERO_STATS="$work/stats"; do
  for probe in mmap concurrent; do
    # The probe maps 40 GiB, and without a zero page that is what filling their entries takes.
    if [ "$setting $probe" = 'LAZYZERO_POPULATE=read mmap' ]; then
      "$LZ_BUILDDIR/tests/kernel" zero-page "$probe with $setting" || continue
    fi
    run $setting "$probes/$probe" >"$work/output" 2>"$work/errors" ||
      { fail "$probe with $setting"; head -n 5 "$work/errors"; }
  done
done
exit $failed
