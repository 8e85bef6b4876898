#!/bin/sh
# More of python3's own tests than in tests/real/python.sh: the garbage collector, and processes that share
# memory, locks and queues. The same tests run, and all succeed, with everything on a zero window that can be.
. "$LZ_SRCDIR/tests/suites/lib.sh"
python=/usr/bin/python3
[ -x $python ] || python=python3
need $python python3
modules="test_gc $(at_length '' 'test_multiprocessing_main_handling test_multiprocessing_fork test_mmap test_ctypes
test_threading test_subprocess test_concurrent_futures test_array test_bytes test_buffer test_io test_memoryio')"
# Without SUITES=full, only a part of the tests that take minutes.
part=
[ "$SUITES" = full ] || part='test_multiprocessing_fork -m WithProcessesTestQueue -m WithProcessesTestPool
-m WithProcessesTestSharedCTypes -m WithProcessesTestHeap -m TestSharedMemory'
for module in $modules ${part%% *}; do
  $python -c "import test.$module" 2>/dev/null ||
    { echo "skipped: python3's test.$module is missing (Debian package libpython3-testsuite)"; exit 77; }
done

# Times and paths differ between runs; the counts must not. If a test fails, CPython's runner runs it once
# more. Some tests change their user, who may not write the log.
cat >"$work/tests" <<END
export TMPDIR=\$PWD
one() {
  module=\$1
  shift
  $python -m test -v -w \$module "\$@" >\$module.log 2>&1
  echo "\$module ended with \$?"
  sed -n -e 's/^\(Ran [0-9]* tests\{0,1\}\) in .*/\1/p' -e '/^OK/p' -e '/^FAILED/p' -e 's/^\(Tests\{0,1\} result: [A-Z]*\).*/\1/p' \
    -e '/^FAIL: /p' -e '/^ERROR: /p' -e '/cannot write the log/d' -e '/^lazyzero/p' \$module.log
}
for module in $(echo $modules); do one \$module; done
$([ -z "$part" ] || echo one $part)
exit 0
END
for way in bare default window; do
  run_way $way "$(at_length 100 900)" sh "$work/tests" &
  eval "pid_$way=$!"
done
wait $pid_bare $pid_default $pid_window
ended_well
grep -q SUCCESS "$work/bare.output" || fail 'no module ended well in the bare run'
compare default
compare window
was_preloaded
cat "$work/bare.output"
exit $failed
