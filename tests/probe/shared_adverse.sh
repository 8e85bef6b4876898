#!/bin/sh
# Shared memory under `lazyzero run` while the program changes, shares, limits or leaves it: what the program sees is what
# it sees without lazyzero, nothing of the driver is left, and no room is taken that the program needs.
. "$LZ_SRCDIR/tests/probe/lib.sh"
program=$probes/shared_adverse
driven="$LZ_COMMAND run --library=$LZ_LIBRARY --log=none"
# Blocks are collapsed as soon as they have a page.
eager="--shared-density=0.1% --shared-files=density"

# same FLAGS ARGUMENT...: the output under `lazyzero run FLAGS` is that of a bare run.
same() {
  flags=$1
  shift
  timeout $hang "$program" "$@" >"$work/expected" 2>"$work/errors" || { fail "$* bare: status $?"; tail -n 3 "$work/errors"; }
  timeout $hang $driven $flags -- "$program" "$@" >"$work/output" 2>"$work/errors" ||
    { fail "$*: status $?"; tail -n 3 "$work/errors"; }
  cmp -s "$work/expected" "$work/output" || { fail "$*: not as bare"; diff "$work/expected" "$work/output" | head; }
}

for test in file-changes removal spliced memlock fsize namespaces; do
  same "$eager" $test
done
same "" memlock
# Otherwise the tests of changing contents test nothing.
if LAZYZERO_SHARED=huge LD_PRELOAD=$LZ_LIBRARY "$probes/shared" huge 32 2>/dev/null | grep -qx '32 MiB huge'; then
  for test in file-changes removal; do
    timeout $hang $driven $eager -- "$program" $test 2>&1 | grep -q 'made huge' || fail "$test: nothing was made huge meanwhile"
  done
fi
same "$eager" direct "$work/direct"
! grep -q 'not available' "$work/expected" || echo 'not tested: O_DIRECT on this file system'

# --- short-lived children, 3 objects each: more than a driver takes at once ---

timeout $hang $driven -- "$program" children 150 >"$work/output" 2>"$work/errors" ||
  { fail "children: status $?"; tail -n 3 "$work/errors"; }
grep -qx '0 of 150 children failed' "$work/output" || { fail 'short-lived children'; cat "$work/output"; }
more=$(sed -n 's/^descriptors: \(-\{0,1\}[0-9]*\) more$/\1/p' "$work/output")
[ "${more:-99}" -le 2 ] || fail "the driver keeps $more descriptors of 150 children that have ended"
if LAZYZERO_SHARED=huge LD_PRELOAD=$LZ_LIBRARY "$probes/shared" huge 32 2>/dev/null | grep -qx '32 MiB huge'; then
  grep -qx '32 MiB huge' "$work/output" || { fail 'after them, memory becomes huge'; cat "$work/output"; }
fi

# --- lazyzero run is killed ---

$driven -- "$program" orphan "$work/orphan" >"$work/output" 2>&1 &
wait $! 2>/dev/null
for attempt in $(seq 600); do
  [ ! -s "$work/orphan" ] || break
  sleep 0.1
done
grep -qx alive "$work/orphan" 2>/dev/null || { fail 'a program whose lazyzero run was killed'; cat "$work/output"; }

# --- room ---

# A reserve of 64 MiB stays free: what a program takes of that is granted as it is bare.
if make_group 192M; then
  in_group "$program" crowded 100 >"$work/output" 2>&1 || fail "crowded, bare: status $?"
  in_group $driven -- "$program" crowded 100 >"$work/output" 2>&1 ||
    { fail "crowded: status $?"; tail -n 3 "$work/output"; }
  grep -qx 'room enough' "$work/output" || fail 'a control group has no room left for the program'
  remove_group
else
  echo 'not tested: a control group without room: none can be created'
fi
mkdir "$work/small"
if mount -t tmpfs -o size=40M none "$work/small" 2>/dev/null; then
  timeout $hang "$program" no-room "$work/small" >"$work/expected" || fail "no-room bare: status $?"
  rm "$work/small"/*
  timeout $hang $driven $eager -- "$program" no-room "$work/small" >"$work/output" || fail "no-room: status $?"
  cmp -s "$work/expected" "$work/output" ||
    { fail 'a file system gets full sooner'; diff "$work/expected" "$work/output"; }
  umount "$work/small"
else
  echo 'not tested: a file system without room: no tmpfs can be mounted'
fi
exit $failed
