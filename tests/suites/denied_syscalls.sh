#!/bin/sh
# Real programs under a kernel that refuses one of the system calls that we make, always: they end as they do bare
# under the same kernel, and hear of it in one line at most.
. "$LZ_SRCDIR/tests/suites/lib.sh"
python=/usr/bin/python3
[ -x $python ] || python=python3
need $python python3
need sqlite3 sqlite3
denied=$LZ_BUILDDIR/tests/probe/denied_syscalls
EPERM=1 ENOSYS=38
"$denied" prctl $EPERM -- true >"$work/output" 2>&1
[ $? -ne 77 ] || { cat "$work/output"; exit 77; }

cat >"$work/large.py" <<'END'
import hashlib, mmap
blocks = [bytearray(n << 20) for n in (1, 5, 40, 200)]
for block in blocks:
    block[::4096] = b"x" * len(block[::4096])
blocks[2] += bytes(30 << 20)
anonymous = mmap.mmap(-1, 80 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
anonymous[12345:12348] = b"abc"
numbers = list(range(3000000))
numbers.extend(numbers)
print([hashlib.sha256(block).hexdigest()[:16] for block in blocks], anonymous[12344:12349], sum(numbers))
for _ in range(5):
    bytearray(8 << 20)[5] = 1
END
cat >"$work/statements" <<'END'
create table t (id integer primary key, payload blob);
with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, zeroblob(i % 300) from n;
select count(*), sum(length(payload)) from t;
select hex(substr(zeroblob(90000000), 89999990)), length(zeroblob(40000000));
pragma integrity_check;
END
cat >"$work/body" <<END
$python "$work/large.py"
echo \$?
sqlite3 :memory: <"$work/statements"
END

for case in $("$denied" cases); do
  for error in $(at_length $EPERM "$EPERM $ENOSYS"); do
    for way in bare default window; do
      run_way $way 120 "$denied" "$case" $error -- sh "$work/body"
      grep -v '^lazyzero\[' "$work/$way.errors" >"$work/rest"
      said=$(grep -c '^lazyzero\[' "$work/$way.errors")
      [ "$said" -le 2 ] || { fail "$case, error $error, $way: $said lines"; head -n 5 "$work/$way.errors"; }
      mv "$work/rest" "$work/$way.errors"
    done
    known=$failed
    failed=0
    for way in default window; do compare $way; done
    if [ $failed -eq 0 ]; then failed=$known; else echo "under: $case, error $error"; fi
  done
done
run_way bare 120 sh "$work/body"
ended_well
was_preloaded
exit $failed
