#!/bin/sh
# Core and shim under ThreadSanitizer: races.c with regions on the zero page and on windows, with and without
# the cache, with everything logged as over the budget, and with refusals.
program=$LZ_BUILDDIR/tests/stress/races
[ -x "$program" ] || { echo "skipped: this compiler has no ThreadSanitizer, or another sanitizer is in use"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-races.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The shadow memory has fixed addresses, which a kernel that randomises 32 bits (vm.mmap_rnd_bits) may use.
fixed=
setarch -R true 2>/dev/null && fixed='setarch -R'
# Nothing is suppressed. Any message is a failure, even if the program itself finds nothing wrong.
export TSAN_OPTIONS='exitcode=66 history_size=4'
export LAZYZERO_THRESHOLD=64K LAZYZERO_MALLOC_THRESHOLD=128K LAZYZERO_MEMSET_THRESHOLD=64K LAZYZERO_LOG=none
# The sanitizer's shadow alone would need 70 GiB of page tables if all of it were touched.
roomy=LAZYZERO_BUDGET=100G

failed=0
# A userfaultfd makes every memset plain.
for settings in "$roomy" "$roomy RACES_NO_USERFAULTFD=1" "$roomy RACES_NO_USERFAULTFD=1 LAZYZERO_BACKING=window" "$roomy LAZYZERO_CACHE=0" "$roomy LAZYZERO_BACKING=window" \
  "$roomy LAZYZERO_POLICY=refuse" "LAZYZERO_BUDGET=1M LAZYZERO_STATS=$work/stats" "LAZYZERO_BUDGET=1M LAZYZERO_POLICY=refuse LAZYZERO_LOG=$work/log"; do
  timeout 120 env $settings $fixed "$program" "${RACES_SECONDS:-1}" >"$work/output" 2>&1
  status=$?
  if grep -q 'unexpected memory mapping' "$work/output"; then
    echo "skipped: ThreadSanitizer cannot place its shadow memory on this kernel"
    exit 77
  fi
  if [ $status -eq 0 ]; then tail -n 1 "$work/output"; continue; fi
  echo "FAILED with $settings: status $status"
  head -n 60 "$work/output"
  failed=1
done
exit $failed
