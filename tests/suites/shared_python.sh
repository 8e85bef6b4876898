#!/bin/sh
# python3's multiprocessing.shared_memory, and a pool of processes that work on it, bare and under `lazyzero run`: the same
# results, fewer page tables, and nothing left in /dev/shm.
. "$LZ_SRCDIR/tests/suites/lib.sh"
python=/usr/bin/python3
[ -x $python ] || python=python3
need $python python3
$python -c 'import multiprocessing.shared_memory, _posixshmem' 2>/dev/null ||
  { echo 'skipped: this python3 has no multiprocessing.shared_memory (3.8 and later)'; exit 77; }
[ -w /dev/shm ] || { echo 'skipped: /dev/shm is not writable'; exit 77; }
[ "$(getconf PAGESIZE)" = 4096 ] || { echo 'skipped: the figures are those of pages of 4 KiB'; exit 77; }
LAZYZERO_SHARED=huge LD_PRELOAD=$LZ_LIBRARY "$LZ_BUILDDIR/tests/probe/shared" huge 32 2>/dev/null | grep -qx '32 MiB huge' ||
  { echo 'skipped: huge pages of shared memory are not available here'; exit 77; }
cat >"$work/pool.py" <<'END'
import multiprocessing, os, sys, time, zlib
from multiprocessing import shared_memory

MIB, PAGE = 1 << 20, 4096
SIZE, PARTS = int(sys.argv[1]) * MIB, 8


def work(task):
    name, part, turn = task
    memory = shared_memory.SharedMemory(name=name)
    length = SIZE // PARTS
    view = memory.buf[part * length:(part + 1) * length]
    if turn:
        for i in range(0, length, PAGE):
            view[i] = (part * 31 + turn + i // PAGE) % 251
    total = zlib.crc32(view)
    view.release()
    memory.close()
    return total


def stay(name, ready, go, queue):
    """Reads every page, and then once more when the others are done."""
    memory = shared_memory.SharedMemory(name=name)
    total = zlib.crc32(memory.buf)
    ready.wait()
    go.wait()
    total = total == zlib.crc32(memory.buf) and total
    with open("/proc/self/status") as status:
        tables = next(int(line.split()[1]) for line in status if line.startswith("VmPTE"))
    queue.put((total, tables))
    memory.close()


def main():
    memory = shared_memory.SharedMemory(create=True, size=SIZE)
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        for turn in (1, 2, 0):
            print(pool.map(work, [(memory.name, part, turn) for part in range(PARTS)]))
    ready, go, queue = context.Barrier(5), context.Event(), context.Queue()
    readers = [context.Process(target=stay, args=(memory.name, ready, go, queue)) for _ in range(4)]
    for reader in readers:
        reader.start()
    ready.wait()
    time.sleep(float(sys.argv[2]))
    go.set()
    answers = [queue.get() for _ in readers]
    for reader in readers:
        reader.join()
    print(sorted({total for total, _ in answers}), [reader.exitcode for reader in readers])
    memory.close()
    memory.unlink()
    print("tables", sum(tables for _, tables in answers), file=sys.stderr)


main()
END
size=$(at_length 128 512)
before=$(ls /dev/shm | grep -c '^psm_')
timeout 200 $python "$work/pool.py" "$size" 0 >"$work/bare" 2>"$work/bare.errors" ||
  { echo 'FAILED: the bare run'; tail -n 5 "$work/bare.errors"; exit 1; }
timeout 300 "$LZ_COMMAND" run --library="$LZ_LIBRARY" -- $python "$work/pool.py" "$size" 5 >"$work/run" 2>"$work/run.errors" ||
  { fail "under lazyzero run: status $?"; tail -n 5 "$work/run.errors"; }
same 'the results' bare run
tables_of() { sed -n 's/^tables \([0-9]*\)$/\1/p' "$1"; }
bare=$(tables_of "$work/bare.errors")
ours=$(tables_of "$work/run.errors")
echo "page tables of 4 processes: bare $bare KiB, under lazyzero run ${ours:-?} KiB"
# Each needs 2 KiB for a MiB, and Python itself some.
[ "${ours:-$bare}" -lt $((bare - 4 * size)) ] || fail 'the page tables are not fewer'
grep -q 'made huge' "$work/run.errors" || { fail 'nothing was made huge'; tail -n 3 "$work/run.errors"; }
grep 'Traceback\|resource_tracker' "$work/run.errors" && fail 'Python complains'
[ "$(ls /dev/shm | grep -c '^psm_')" -le "$before" ] || fail 'a file is left in /dev/shm'
exit $failed
