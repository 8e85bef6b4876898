#!/bin/sh
# python3's own test modules for mmap, ctypes, threads and child processes: the same tests run, and all
# succeed.
. "$LZ_SRCDIR/tests/real/lib.sh"
python=/usr/bin/python3
[ -x $python ] || python=python3
need $python python3
modules="test_mmap test_ctypes test_threading $(amount test_subprocess '')"
for module in $modules; do
  $python -c "import test.$module" 2>/dev/null ||
    { echo "skipped: python3's test.$module is missing (Debian package libpython3-testsuite)"; exit 77; }
done

# test_pass_fds_redirected lists every open descriptor of its child, and so finds those of the library
# (README, Limits). The modules mostly wait, so all three ways run at once. Times and paths differ between
# runs; the counts must not.
cat >"$work/body" <<END
export TMPDIR=\$PWD
for module in $modules; do
  $python -m test -v -i test_pass_fds_redirected \$module >\$module.log 2>&1
  echo "\$module ended with \$?"
  sed -n -e 's/^\(Ran [0-9]* tests\) in .*/\1/p' -e '/^OK/p' -e '/^FAILED/p' -e '/^Tests\{0,1\} result/p' \
    -e '/^FAIL: /p' -e '/^ERROR: /p' \$module.log
done
END
for way in bare default tiny; do
  run_way $way 200 sh "$work/body" &
  eval "pid_$way=$!"
done
wait $pid_bare $pid_default $pid_tiny
ended_well
grep -q SUCCESS "$work/bare.output" || fail 'no module ended well in the bare run'
compare default
compare tiny
was_preloaded
cat "$work/bare.output"
exit $failed
