#!/bin/sh
# Shared memory (LAZYZERO_SHARED): results are the same in every mode; mappings are placed where they can be huge; under
# `lazyzero run` they become huge as they fill, and what must stay as it is does; the memory is free as soon as the program
# lets go of it; no room is taken that others need.
. "$LZ_SRCDIR/tests/probe/lib.sh"
program=$probes/shared

# run_driven [VARIABLE=VALUE...] PROGRAM [ARGUMENT...]: under `lazyzero run`; the output goes to $work/output.
run_driven() {
  timeout $hang env "$@" >"$work/output" 2>"$work/errors" || { fail "$*: status $?"; tail -n 5 "$work/errors"; }
}
driven="$LZ_COMMAND run --library=$LZ_LIBRARY --log=none"

# expect PATTERN WHAT: the output is a line that matches.
expect() {
  grep -qx "$1" "$work/output" || { fail "$2"; head -n 5 "$work/output"; }
}

# --- the same results ---

"$program" compare >"$work/expected" || fail 'without lazyzero'
for mode in off align huge auto; do
  run LAZYZERO_SHARED=$mode LAZYZERO_LOG=none "$program" compare >"$work/output" || fail "LAZYZERO_SHARED=$mode: status $?"
  cmp -s "$work/expected" "$work/output" ||
    { fail "LAZYZERO_SHARED=$mode: the output differs"; diff "$work/expected" "$work/output" | head; }
done
run_driven $driven -- "$program" compare
cmp -s "$work/expected" "$work/output" || { fail 'under run: the output differs'; diff "$work/expected" "$work/output" | head; }

# --- placement ---

for mode in align huge auto; do
  run LAZYZERO_SHARED=$mode LAZYZERO_LOG=none "$program" placed >"$work/output"
  ! grep -q elsewhere "$work/output" || { fail "placement with $mode"; cat "$work/output"; }
done
if grep -q '\[never\]' /sys/kernel/mm/transparent_hugepage/shmem_enabled 2>/dev/null; then
  run LAZYZERO_SHARED=off "$program" placed >"$work/output"
  grep -q 'anonymous elsewhere' "$work/output" || fail 'LAZYZERO_SHARED=off places mappings'
fi

# --- huge pages: only where the kernel has them ---

[ "$(getconf PAGESIZE)" = 4096 ] || exit $failed
run LAZYZERO_SHARED=huge LAZYZERO_LOG=none "$program" huge 32 >"$work/output"
grep -qx '32 MiB huge' "$work/output" ||
  { echo "not tested: huge pages of shared memory are not available here: $(cat "$work/output")"; exit $failed; }
run LAZYZERO_LOG=none "$program" huge 32 >"$work/output"
expect '0 MiB huge' 'the default without lazyzero run makes nothing huge'

# With what is less than a block at the end of each. Counted as small pages they would need more than 0.5 MiB.
run LAZYZERO_SHARED=huge LAZYZERO_BUDGET=450K LAZYZERO_POLICY=log "$program" several 32 >"$work/output" 2>"$work/errors"
! grep -q 'over the budget' "$work/errors" || { fail 'huge memory counts as small pages'; head -n 3 "$work/errors"; }
run LAZYZERO_SHARED=align LAZYZERO_BUDGET=450K LAZYZERO_POLICY=log "$program" several 32 >"$work/output" 2>"$work/errors"
grep -q 'over the budget' "$work/errors" || fail 'the budget of that test is not exceeded with small pages'

# auto, but nobody to do it.
for mode in auto align; do
  run LAZYZERO_SHARED=$mode "$program" several 32 >"$work/output" 2>"$work/$mode.errors"
done
[ "$(grep -c 'LAZYZERO_SHARED=auto: 32.0 MiB of shared memory are aligned, but nothing makes them huge' "$work/auto.errors")" -eq 1 ] ||
  { fail 'auto without lazyzero run is not mentioned once'; cat "$work/auto.errors"; }
! grep -q 'LAZYZERO_SHARED' "$work/align.errors" || fail 'align is mentioned'

run_driven $driven -- "$program" fill 64
expect '64 of 64 MiB huge, page tables of the children [1-9][0-9]\{0,2\} KiB' 'memory that is full becomes huge'
grep -q '64.0 MiB made huge of 1 shared object' "$work/errors" || { fail 'the summary'; tail -n 3 "$work/errors"; }
run_driven $driven -- "$program" segment 32
expect '32 of 32 MiB huge' 'a segment becomes huge'
! grep -q attachments "$work/output" || fail 'a segment stays attached'
expect 'afterwards: EINVAL' 'a segment is not kept'
run_driven $driven -- "$program" sparse 64
expect '32 pages' 'memory that is sparse stays so'
run_driven $driven --shared-density=0.1% -- "$program" sparse 64
expect '16384 pages' 'a density of one page'
run_driven $driven -- "$program" punch 32
expect '8176 pages' 'pages that the program freed are not filled again'
run_driven $driven -- "$program" restrict nothing
expect '32 MiB huge' 'within 2 s'
for how in mlock mlockall nohugepage mbind userfaultfd; do
  run_driven $driven -- "$program" restrict $how
  expect '0 MiB huge\|not available' "memory after $how is left alone"
done
for mode in off align; do
  run_driven $driven --shared=$mode -- "$program" restrict nothing
  expect '0 MiB huge' "--shared=$mode"
done
run_driven $driven -- "$program" limited
expect filled 'under RLIMIT_FSIZE'
run_driven $driven -- "$program" release 256
expect '[0-9]\{1,3\} ms' 'unmapped memory is free within a second'

# A driver that cannot be reached.
if unshare -n true 2>/dev/null; then
  run_driven $driven -- unshare -n "$program" restrict nothing
  expect '0 MiB huge' 'in another network namespace'
fi
run_driven LAZYZERO_SHARED=auto:0123456789abcdef0123456789abcdef LD_PRELOAD="$LZ_LIBRARY" "$program" restrict nothing
expect '0 MiB huge' 'with a driver that is gone'

# --- files: only where no page is missing ---

if [ -d /dev/shm ] && [ -w /dev/shm ]; then
  file=/dev/shm/lazyzero-probe.$$
  run_driven $driven -- "$program" file $file 32 full
  expect '32 of 32 MiB huge' 'a file that is full'
  run_driven $driven -- "$program" file $file 32 half
  expect '4096 pages' 'a file with holes is not filled'
  run_driven $driven --shared-files=density -- "$program" file $file 32 half
  expect '8192 pages' '--shared-files=density'
fi

# --- room ---

mkdir "$work/small"
if mount -t tmpfs -o size=96M none "$work/small" 2>/dev/null; then
  run_driven $driven --shared-files=density -- "$program" file "$work/small/file" 40 half
  pages=$(sed -n 's/ pages$//p' "$work/output")
  # 96 MiB less 64 MiB that stay free and 20 MiB that are used: 6 blocks of 2 MiB, of which 1 MiB is missing.
  [ "${pages:-0}" -ge 5120 ] && [ "$pages" -le 8192 ] || fail "a file system with little room: $pages pages of 10240 in use"
  umount "$work/small"
else
  echo 'not tested: a file system without room: no tmpfs can be mounted'
fi
if make_group 128M; then
  in_group env LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_SHARED=huge "$program" huge 96 >"$work/output" 2>"$work/errors"
  expect '0 MiB huge' 'LAZYZERO_SHARED=huge in a control group without room'
  [ "$(grep -c 'LAZYZERO_SHARED=huge: 96.0 MiB of shared memory get small pages' "$work/errors")" -eq 1 ] ||
    { fail 'it says so once'; cat "$work/errors"; }
  in_group $driven --shared-density=1% -- "$program" sparse 200 >"$work/output" 2>"$work/errors" ||
    { fail "in a control group without room: status $?"; tail -n 3 "$work/errors"; }
  pages=$(sed -n 's/ pages$//p' "$work/output")
  [ "${pages:-0}" -le 20480 ] || fail "in a control group of 128 MiB $pages pages were allocated"
  remove_group
else
  echo 'not tested: a control group without room: none can be created'
fi
exit $failed
