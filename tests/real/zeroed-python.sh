#!/bin/sh
# python3: a bytearray of 512 MiB, of which 1,000 bytes are written; numpy.full with 0, which stores in a loop.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
python=/usr/bin/python3
[ -x $python ] || python=$LZ_PYTHON3

cat >"$work/bytes.py" <<'END'
n = 1 << 29
a = bytearray(n)
place = 1
for i in range(1000):
    place = place * 48271 % 2147483647
    a[place % n] += 1 + i % 100
print(sum(a[::1048573]), a[place % n])
END
zeroed 'bytearray(n)' 8 $python ../bytes.py

cat >"$work/full.py" <<'END'
import numpy
a = numpy.full(1 << 24, 0.0)
a[1::99991] = 1
print(a.sum())
END
export OPENBLAS_NUM_THREADS=1
if $python -c 'import numpy' 2>/dev/null; then
  echo 'numpy.full(n, 0.0) stores zeros in a loop, which no library sees: nothing is gained'
  zeroed 'numpy.full(n, 0.0)' 0 $python ../full.py
else
  echo 'not tested: numpy.full, for numpy is missing (Debian package python3-numpy)'
fi
exit $failed
