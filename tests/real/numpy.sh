#!/bin/sh
# numpy: an array larger than the machine's memory costs only what is written to it; dense arrays give the
# same results at the same speed.
. "$LZ_SRCDIR/tests/real/lib.sh"
python=/usr/bin/python3
[ -x $python ] || python=python3
need $python python3
$python -c 'import numpy' 2>/dev/null ||
  { echo 'skipped: numpy is missing (Debian package python3-numpy)'; exit 77; }
export OPENBLAS_NUM_THREADS=1

cat >"$work/sparse.py" <<'END'
import os
import numpy as np

memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
side = max(60000, int((memory * 1.2 / 8) ** 0.5))
a = np.zeros((side, side))
rng = np.random.default_rng(1)
i, j = rng.integers(0, side, 10000), rng.integers(0, side, 10000)
a[i, j] = 1.0
assert a[i, j].sum() == 10000
assert a[side - 1, side - 1] == 0 and a[12345].sum() >= 0
resident = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmRSS")) // 1024
print(f"{side} x {side} ({a.nbytes / 1e9:.1f} GB), 10,000 writes: {resident} MB resident")
assert resident < 100, resident
END
for settings in LAZYZERO_POLICY=log LAZYZERO_BUDGET=64K; do
  timeout 60 env LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_LOG="$work/log" $settings $python "$work/sparse.py" ||
    fail "a sparse array with $settings"
done

side=$(amount 3000 1000)
count=$(amount 20000000 4000000)
export side count
cat >"$work/dense.py" <<'END'
import hashlib
import os
import numpy as np

side, count = int(os.environ["side"]), int(os.environ["count"])
a = np.zeros(count)
a += np.arange(count)
b = np.ones((side, side))
c = b @ b.T
for n in range(10):
    d = np.zeros(2_000_000) + n
    a[: d.size] += d
a = np.concatenate([a, d])
a.resize(count + 10_000_000, refcheck=False)
print(hashlib.sha256(a.tobytes()).hexdigest(), c.sum(), np.sort(a[::-7])[:5], np.linalg.norm(d))
END
echo "exec $python ../dense.py" >"$work/body"
three 180
was_preloaded

# Speed is printed, not tested: machines and their load differ.
cat >"$work/speed.py" <<'END'
import os
import time
import numpy as np

start = time.perf_counter()
for n in range(4):
    a = np.zeros(3 * int(os.environ["count"]) // 2)
    a += 1
    a *= 2
    a.sum()
    del a
print(f"{time.perf_counter() - start:.4f}")
END
rounds=$(amount 5 1)
for round in $(seq "$rounds"); do
  timeout 60 $python "$work/speed.py" >>"$work/speed.bare"
  timeout 60 env LD_PRELOAD="$LZ_LIBRARY" $python "$work/speed.py" >>"$work/speed.preloaded"
done
for way in bare preloaded; do
  echo "dense arrays, $way: $(sort -n "$work/speed.$way" | sed -n $((rounds / 2 + 1))p) s, median of $rounds"
done
exit $failed
