# `report --pid`: a program of known memory, against its smaps and VmPTE; a course; processes that cannot be looked at,
# or end meanwhile; a kernel without PAGEMAP_SCAN.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

[ "$(getconf PAGESIZE)" -eq 4096 ] || { echo "skipped: the figures are those of pages of 4 KiB"; exit 77; }
command -v python3 > /dev/null || { echo "skipped: python3 is missing"; exit 77; }
# Each region is at a multiple of 1 GiB, alone in its tables. Without randomisation, the pages of the vdso, which the
# kernel shows, and of vvar, which it does not, have a table in common.
compile target -O1 <<'END_OF_C' || exit 77
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <unistd.h>
#define M (1ul << 20)
#define G (1ul << 30)
static char *at = (char *)(64 * G);
static char *map(const char *name, size_t size, int protection, int flags, int fd)
{
	/* A huge page that is not reserved may be missing at the first touch. */
	int reserve = flags & MAP_HUGETLB ? 0 : MAP_NORESERVE;
	char *memory = mmap(at, size, protection, flags | MAP_FIXED | reserve, fd, 0);
	at += (size / G + 2) * G;
	if (memory == MAP_FAILED)
		return NULL;
	printf("%s %lx\n", name, (unsigned long)memory);
	return memory;
}
static char *anonymous(const char *name, size_t size, int advice)
{
	char *memory = map(name, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	madvise(memory, size, advice);
	return memory;
}
static void read_pages(volatile char *memory, size_t size, size_t step)
{
	for (size_t i = 0; i < size; i += step)
		(void)memory[i];
}
static char *program;
static void execute(int signal)
{
	(void)signal;
	execl(program, program, (char *)NULL);
}
int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	char *p;
	int fd;

	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE) && personality(ADDR_NO_RANDOMIZE) != -1)
		execv(argv[0], argv);
	program = argv[0];
	signal(SIGUSR1, execute);
	memset(anonymous("written", 64 * M, MADV_NOHUGEPAGE), 1, 40 * M);
	read_pages(anonymous("zero", 64 * M, MADV_NOHUGEPAGE), 24 * M, 4096);
	p = anonymous("huge", 16 * M, MADV_HUGEPAGE);
	for (size_t i = 0; i < 8 * M; i += 2 * M)
		p[i] = 1;
	read_pages(anonymous("huge_zero", 16 * M, MADV_HUGEPAGE), 8 * M, 2 * M);
	fd = memfd_create("shared", 0);
	if (ftruncate(fd, 8 * M) != 0)
		return 2;
	p = map("shared", 8 * M, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	memset(p, 1, 4 * M);
	madvise(p, 4 * M, 25 /* MADV_COLLAPSE */);
	mmap(p, 8 * M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	read_pages(p, 4 * M, 4096);
	p = map("hugetlb", 4 * M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	if (p != NULL)
		*p = 1;
	p = anonymous("lower", M, MADV_NOHUGEPAGE);
	memset(p, 1, M);
	mprotect(p + M / 2, M / 2, PROT_READ);
	p = anonymous("guard", 64 * 1024, MADV_NOHUGEPAGE);
	*p = 1;
	printf("guarded %d\n", madvise(p + 4096, 4096, 102 /* MADV_GUARD_INSTALL */));
	map("reserved", 64 * G, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (*what == 'e') {
		p = anonymous("emptied", 8 * M, MADV_NOHUGEPAGE);
		memset(p, 1, 8 * M);
		for (size_t i = 0; i < 8 * M; i += M)
			madvise(p + i, M, MADV_DONTNEED);
	}
	if (*what == 'm')
		for (int i = 0; i < 2000; i++)
			mmap(at + i * 8192, 8192, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (*what == 'l')
		for (int i = 0; i < 64; i++)
			map("large", 1024 * G, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
END_OF_C

# start WORDS...: starts a program that prints "ready" in the background, and waits for that. Sets $pid.
start()
{
	: > "$work/target.out"
	"$@" > "$work/target.out" &
	pid=$!
	until grep -q ready "$work/target.out" || ! kill -0 "$pid" 2> /dev/null; do sleep 0.02; done
}

stop()
{
	kill -KILL "$pid"
	wait "$pid" 2> /dev/null
}

# examine WHAT: the JSON in $work/out agrees with smaps, VmPTE and what the program did.
examine()
{
	python3 - "$pid" "$work" "$1" <<'END_OF_PYTHON' || fail "figures: $1"
import json, os, re, sys
pid, work, what = sys.argv[1:]
K, M, P = 1 << 10, 1 << 20, 4096
report = json.load(open(work + "/out"))
entries = what == "entries"
assert report["version"] == 1 and report["pid"] == int(pid) and report["name"] == "target", report["name"]
vmpte = int(re.search(r"VmPTE:\s*(\d+)", open(f"/proc/{pid}/status").read())[1]) * K
rows = {row["start"]: row for row in report["list"]}
empty = report["page_tables_empty_or_changed"]
assert report["page_tables"] == vmpte, (report["page_tables"], vmpte)
assert sum(row["page_tables"] for row in rows.values()) + empty == vmpte, (empty, vmpte)
for key, value in report["total"].items():
    if value is not None:
        assert value == sum(row[key] for row in rows.values()), key
if what in ("", "many"):
    assert empty == 0, empty
if what == "emptied":
    assert empty >= 4 * P, empty

# smaps, which the kernel counts by other code, is the reference.
smaps, row = {}, None
for line in open(f"/proc/{pid}/smaps"):
    bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
    if bounds:
        start, end = (int(x, 16) for x in bounds.groups())
        row = next((r for r in rows.values() if r["start"] <= start and end <= r["end"]), None)
        values = smaps.setdefault(row["start"], {}) if row else {}
    elif line.endswith("kB\n"):
        name, value = line.split()[:2]
        values[name] = values.get(name, 0) + int(value) * K
assert len(smaps) == len(rows), (len(smaps), len(rows))
for start, row in rows.items():
    at, is_hugetlb = smaps[start], "huge" in row["path"]
    assert row["bytes"] == row["end"] - row["start"] == at["Size:"], (row, at)
    assert row["bytes"] == sum(row[k] for k in ("written", "zero", "file", "swapped", "untouched")), row
    if not is_hugetlb:
        assert row["file"] == at["Rss:"] - at["Anonymous:"], (row, at)
    if not entries and not is_hugetlb:
        assert row["written"] == at["Anonymous:"], (row, at)
        huge = at["AnonHugePages:"] + at["ShmemPmdMapped:"] + at["FilePmdMapped:"]
        assert huge <= row["huge"] <= huge + row["zero"], (row, at)

known, guarded = {}, False
for line in open(work + "/target.out"):
    name, *value = line.split()
    if name == "guarded":
        guarded = value == ["0"]
    elif value:
        known.setdefault(name, rows[int(value[0], 16)])
of = lambda name, *keys: tuple(known[name][key] for key in keys)
assert of("reserved", "bytes", "untouched", "page_tables") == (64 << 30, 64 << 30, 0)
lower = known["lower"]
upper = rows[lower["end"]]
assert (lower["written"], upper["written"]) == (M // 2, M // 2), (lower, upper)
assert upper["page_tables"] == 0 < lower["page_tables"], (lower, upper)
if guarded and not entries:
    assert known["guard"]["written"] == P and known["guard"]["page_tables"] >= P, known["guard"]
    # Since Linux 6.15, guard pages are told from swapped ones.
    linux = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
    assert known["guard"]["swapped"] == 0 or linux < (6, 15), known["guard"]
if entries:
    assert known["written"]["written"] == 40 * M and known["written"]["huge"] is None
    sys.exit()
# The tables of a region: one for each block of 2 MiB, and at most two above.
assert of("written", "written", "zero", "file", "untouched") == (40 * M, 0, 0, 24 * M), known["written"]
assert known["written"]["page_tables"] in range(20 * P, 22 * P + 1, P), known["written"]
if known["zero"]["written"] == 0:
    assert of("zero", "zero", "untouched") == (24 * M, 40 * M), known["zero"]
else:
    print("skipped: zero pages (this kernel has none)")
assert known["zero"]["page_tables"] in range(12 * P, 14 * P + 1, P), known["zero"]
if known["huge"]["huge"] > 0:
    # Huge anonymous pages have deposited tables, those of files and of hugetlbfs have none.
    assert of("huge", "huge", "written", "untouched") == (8 * M, 8 * M, 8 * M), known["huge"]
    assert known["huge"]["page_tables"] in range(4 * P, 6 * P + 1, P), known["huge"]
else:
    print("skipped: huge pages (there are none)")
if known["huge_zero"]["zero"] == known["huge_zero"]["huge"] == 8 * M:
    assert known["huge_zero"]["page_tables"] in range(4 * P, 6 * P + 1, P), known["huge_zero"]
if known["shared"]["huge"] > 0:
    assert of("shared", "file", "huge", "untouched") == (4 * M, 4 * M, 4 * M), known["shared"]
    assert known["shared"]["page_tables"] <= 2 * P, known["shared"]
if "hugetlb" in known and known["hugetlb"]["written"] > 0:
    assert known["hugetlb"]["huge"] == 2 * M and known["hugetlb"]["page_tables"] <= 2 * P, known["hugetlb"]
END_OF_PYTHON
}

expect_failure 125 '--pid: "12x" is not accepted: it takes a process ID' report --pid=12x
expect_failure 125 '--pid: "0" is not accepted' report --pid=0
expect_failure 125 '--pid: "4294967297" is not accepted' report --pid=4294967297
expect_failure 125 '--sample: "0" is not accepted: it takes a number of seconds from 0.1 to 3600' report --pid=$$ --sample=0
expect_failure 125 '--sample: "1m" is not accepted' report --pid=$$ --sample=1m
expect_failure 125 '--sample needs --pid' report --sample=1
expect_failure 125 '--pid takes neither a report nor a program' report --pid=$$ file
expect_failure 125 '--pid takes neither a report nor a program' report --pid=$$ -- true
expect_failure 125 '--html cannot be used with --pid' report --pid=$$ --html=page
expect_failure 125 '--budget cannot be used with --pid' report --pid=$$ --budget=1M
sleep 0 &
gone=$!
wait $gone
expect_failure 1 "^lazyzero: $gone: no such process" report --pid=$gone
python3 -c 'import os, sys, time
pid = os.fork()
if pid == 0: os._exit(0)
print(pid, flush=True)
time.sleep(60)' > "$work/zombie" &
parent=$!
until grep -q " Z " "/proc/$(cat "$work/zombie" 2> /dev/null)/stat" 2> /dev/null; do sleep 0.02; done
expect_failure 1 'has ended; its parent has not waited for it yet' report --pid="$(cat "$work/zombie")"
kill -KILL $parent
if grep -q 'Kthread:.*1' /proc/2/status 2> /dev/null; then
	expect_failure 1 '^lazyzero: 2 (kthreadd): has no memory: it is a thread of the kernel' report --pid=2
fi

start "$work/target"
grep -q ready "$work/target.out" || { cat "$work/target.out"; fail "the program did not start"; finish; }
run report --pid "$pid" --json
if grep -q '"huge": null' "$work/out"; then
	examine entries
	echo "skipped: all but the entries of pagemap (no PAGEMAP_SCAN)"
	stop
	finish
fi
examine ""

# --- the table ---

run report --pid "$pid"
expect "status" 0 "$status"
expect_match "first line" "^target\[$pid\]: [0-9]* mappings of [0-9.]* GiB, page tables [0-9.]* KiB" "$work/out"
expect_match "a mapping" ' 40.0M  *0B  *0B  *0B 24.0M  *0B  [0-9a-f]* rw-p anonymous' "$work/out"
expect_match "the rest" '^ *0B  *empty, or changed while looking$' "$work/out"
expect_match "the sum" ' total (VmPTE)$' "$work/out"
expect_match "further mappings" '[0-9] further mappings (--all)$' "$work/out"
expect "rows" 20 "$(grep -c ' [r-][w-][x-][ps] ' "$work/out")"
run report --pid "$pid" --all --width=80
expect_no_match "all mappings" 'further mappings' "$work/out"
expect "no line is wider than 80 columns" "" "$(grep ' [r-][w-][x-][ps] ' "$work/out" | grep -E '.{81}')"

# --- without PAGEMAP_SCAN ---

old_kernel=${LZ_BUILDDIR:-.}/tests/facts/lazyzero
if [ -x "$old_kernel" ] && LZ_HIDE_FACTS=pagemap_scan "$old_kernel" report --pid "$pid" --json > "$work/out" &&
	grep -q '"huge": null' "$work/out"; then
	examine entries
	LZ_HIDE_FACTS=pagemap_scan "$old_kernel" report --pid "$pid" > "$work/out"
	expect_match "what cannot be told" '^This kernel has no PAGEMAP_SCAN (Linux 6.7), so ' "$work/out"
else
	echo "skipped: a kernel without PAGEMAP_SCAN (it cannot be hidden here)"
fi

# --- another user's process ---

if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
	chmod 755 "$work"
	status=0
	timeout 20 setpriv --reuid=65534 --regid=65534 --clear-groups "$LZ_COMMAND" report --pid="$pid" > "$work/out" 2> "$work/err" || status=$?
	expect "status as another user" 1 "$status"
	expect_match "as another user" "^lazyzero: $pid (target): .* takes ptrace read access: run this as its user (uid 0), or as root" "$work/err"
	expect "one line" 1 "$(wc -l < "$work/err")"
fi
stop

start "$work/target" emptied
run report --pid "$pid" --json
examine emptied
stop

start "$work/target" many
run report --pid "$pid" --json
examine many
stop

# --- a course ---

start "$work/target"
: > "$work/out"
"$LZ_COMMAND" report --pid "$pid" --sample=0.1s > "$work/out" 2> "$work/err" &
course=$!
until [ "$(wc -l < "$work/out")" -ge 5 ] || ! kill -0 $course 2> /dev/null; do sleep 0.05; done
stop
status=0
wait $course || status=$?
expect "status of a course" 0 "$status"
expect "standard error of a course" "" "$(cat "$work/err")"
expect_match "heading of a course" '^SECONDS TABLES  SIZE WRITTEN' "$work/out"
expect_match "a sample" '^    0\.0  *[0-9.]*K  *[0-9.]*G ' "$work/out"
expect_match "a later sample" '^    0\.[1-9]  *[0-9.]*K  *[0-9.]*G ' "$work/out"

start "$work/target"
: > "$work/out"
"$LZ_COMMAND" report --pid "$pid" --sample=0.1 --json > "$work/out" 2> "$work/err" &
course=$!
until [ "$(wc -l < "$work/out")" -ge 3 ] || ! kill -0 $course 2> /dev/null; do sleep 0.05; done
kill -TERM $course
wait $course 2> /dev/null
expect "lines of JSON" 3 "$(head -n 3 "$work/out" | python3 -c 'import json, sys
seconds = [(s := json.loads(line))["seconds"] for line in sys.stdin]
assert s["total"]["written"] > 40 << 20 and "list" not in s, s
print(len(seconds) if seconds == sorted(seconds) else seconds)')"
stop

# --- a process that ends while it is looked at: 64 TiB take a fraction of a second ---

start "$work/target" large
"$LZ_COMMAND" report --pid "$pid" > "$work/out" 2> "$work/err" &
look=$!
sleep 0.1
stop
status=0
wait $look || status=$?
if [ "$status" -eq 0 ]; then
	echo "skipped: a process that ends while it is looked at (it was fast)"
else
	expect "status for a process that ended" 1 "$status"
	expect_match "a process that ended" "^lazyzero: $pid (target): ended while it was looked at" "$work/err"
	expect "no figures of a process that ended" "" "$(cat "$work/out")"
fi

# --- and one that executes another program meanwhile, which is then looked at ---

start "$work/target" large
"$LZ_COMMAND" report --pid "$pid" > "$work/out" 2> "$work/err" &
look=$!
sleep 0.1
kill -USR1 "$pid"
status=0
wait $look || status=$?
expect "status for a process that executed a program" "0 " "$status $(cat "$work/err")"
if grep -q 'mappings of 6[0-9.]* TiB' "$work/out"; then
	echo "skipped: a process that executes a program while it is looked at (it was fast)"
else
	expect_match "the new program" "^target\[$pid\]: [0-9]* mappings\? of [0-9.]* [KMG]iB" "$work/out"
	expect_no_match "mappings of the old program" '1.00T' "$work/out"
fi
stop

finish
