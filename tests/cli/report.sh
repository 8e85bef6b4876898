# `report`: figures of a program with known memory use, functions and lines, the HTML page, and rejected files.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

[ -f "${LZ_LIBRARY:-}" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
command -v python3 > /dev/null || { echo "skipped: python3 is missing"; exit 77; }
compile known -g -O1 -fno-builtin <<'END_OF_C' || exit 77
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define M (1024 * 1024)
__attribute__((noinline)) static char *dense(void)
{
	char *p = calloc(1, 16 * M); /* line 8 */
	memset(p, 1, 16 * M);
	return p;
}
__attribute__((noinline)) static char *sparse(void)
{
	char *p = calloc(64, M); /* line 14 */
	for (int i = 0; i < 64; i++)
		p[i * M] = 1;
	return p;
}
__attribute__((noinline)) static char *reader(void)
{
	volatile char *p = malloc(64 * M); /* line 21 */
	for (int i = 0; i < 32 * M; i += 4096)
		(void)p[i];
	return (char *)p;
}
static void answer(int signal)
{
	(void)signal;
	if (write(1, "mine\n", 5) != 5)
		_exit(9);
}
int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] == 'h')
		signal(SIGUSR2, answer);
	char *kept[3] = {dense(), sparse(), reader()};
	for (int i = 0; i < 3; i++)
		free(dense());
	free(kept[2]);
	if (argc > 1 && (argv[1][0] == 's' || argv[1][0] == 'h'))
		raise(SIGUSR2);
	if (argc > 1 && argv[1][0] == 'k')
		raise(SIGKILL);
	if (argc > 1 && argv[1][0] == 'f' && fork() == 0) {
		free(kept[0]);
		free(sparse());
		exit(0);
	}
	if (argc > 1 && argv[1][0] == 'f')
		sleep(1);
	return argc > 1 && argv[1][0] == '3' ? 3 : 0;
}
END_OF_C

# known_figures BACKING FILE: the JSON in the file agrees with the known memory use.
known_figures()
{
	python3 - "$@" "$reads" <<'END_OF_PYTHON' || fail "figures: $*"
import json, sys
M, P = 1 << 20, 4096
backing, path, reads = sys.argv[1:]
report = json.load(open(path))
sites = {}
for site in report["sites"]:
    # A function that main calls in several places has several stacks.
    into = sites.setdefault(site["function"], site)
    for key in site if into is not site else ():
        if isinstance(site[key], int) and key not in ("line", "offset"):
            into[key] += site[key]
assert set(sites) == {"dense", "sparse", "reader"}, sites
dense, sparse, reader = sites["dense"], sites["sparse"], sites["reader"]
assert (dense["call"], dense["line"], dense["regions_made"]) == ("calloc", 8, 4), dense
assert (sparse["call"], sparse["line"], sparse["regions_made"]) == ("calloc", 14, 1), sparse
assert (reader["call"], reader["line"], reader["regions_made"]) == ("malloc", 21, 1), reader
assert all(site["file"].endswith("known.c") and site["module"].endswith("/known") for site in sites.values())
assert dense["bytes_asked"] == 64 * M and 32 * M <= dense["bytes_peak"] <= 64 * M and dense["bytes_alive"] == 16 * M, dense
assert all(site["backing"] == backing for site in sites.values()), sites
assert [r["bytes"] for r in sorted(report["regions"], key=lambda r: r["bytes"])] == [16 * M, 64 * M], report["regions"]
if dense["written"] is None:
    print("skipped: what was touched (no PAGEMAP_SCAN)")
    sys.exit()
assert dense["written"] == dense["bytes"] == 64 * M and dense["untouched"] == dense["waste"] == 0, dense
assert sparse["written"] == 64 * P and sparse["bytes"] == 64 * M, sparse
assert reader["bytes"] == 64 * M, reader
if backing == "zeropage" and reads == "own":
    sys.exit() # what is read looks written there
assert reader["written"] == 0, reader
if backing == "window":
    # The window maps the pages around a page that was read as well.
    assert reader["zero"] >= 32 * M and reader["untouched"] <= 32 * M, reader
    assert reader["page_tables"] <= 8 * P, reader
else:
    assert reader["zero"] == reader["untouched"] == 32 * M and sparse["untouched"] == 64 * M - 64 * P, (reader, sparse)
    assert 16 * P <= reader["page_tables"] <= 20 * P, reader
    # Its first and its last table may be shared with neighbours.
    assert reader["page_tables_on_window"] <= 2 * P and sparse["page_tables_on_window"] >= 31 * P, (reader, sparse)
    assert [s["function"] for s in report["sites"]][:3] == ["reader", "sparse", "dense"], report["sites"]
    assert "of this calloc was never touched" in sparse["hint"] and "window would cost" in reader["hint"], report
END_OF_PYTHON
}

# The place of temporary files, of which none may remain.
mkdir "$work/tmp"
export TMPDIR="$work/tmp"
reads=zero
"${LZ_BUILDDIR:-.}/tests/kernel" zero-page 'what was only read' || reads=own
options="--threshold=1M --malloc-threshold=1M --thp=never --log=none"

run report $options --backing=zeropage --json --record="$work/kept.jsonl" -- "$work/known"
expect "status" 0 "$status"
cp "$work/out" "$work/plain.json"
known_figures zeropage "$work/plain.json"
scan=yes
grep -q '"written": null' "$work/plain.json" && scan=no
[ -s "$work/kept.jsonl" ] || fail "the record was not kept"
if "$LZ_COMMAND" doctor > /dev/null 2>&1; then
	run report $options --backing=window --json -- "$work/known"
	cp "$work/out" "$work/window.json"
	known_figures window "$work/window.json"
else
	echo "skipped: a window (this machine has none)"
fi
run report $options --width=80 -- "$work/known" 3
expect "exit status of the program" 3 "$status"
expect_match "a function and its line" '^ [ 0-9.]*[MB?]  64.0M .*  1  reader (known.c:21)$' "$work/out"
expect "no line is longer than 80 columns" "" "$(grep -E '.{81}' "$work/out")"
expect "no colours in a file" "" "$(tr -dc '\033' < "$work/out")"

# Memory that was cleared by stores: the part of what was written that is all zero, found in live and in freed regions.
if compile zeros -g -O1 -fno-builtin <<'END_OF_C'; then
#include <stdlib.h>
#define M (1024 * 1024)
static void store(volatile long *p, long bytes, long value)
{
	for (long i = 0; i < bytes / 8; i++)
		p[i] = value;
}
int main(void)
{
	char *cleared = malloc(64 * M); /* line 10 */
	store((long *)cleared, 48 * M, 0);
	char *half = malloc(64 * M); /* line 12 */
	store((long *)half, 32 * M, 0);
	store((long *)(half + 32 * M), 32 * M, 1);
	char *full = calloc(1, 64 * M); /* line 15 */
	store((long *)full, 64 * M, 1);
	char *again = calloc(1, 32 * M); /* line 17 */
	store((long *)again, 32 * M, 0);
	void *memset(void *block, int byte, size_t size);
	memset(again, 0, 32 * M);
	free(half);
	return 0;
}
END_OF_C
	run report $options --json --html="$work/zeros.html" -- "$work/zeros"
	python3 - "$work/out" "$scan" <<'END_OF_PYTHON' || fail "memory that was cleared by stores"
import json, sys
M = 1 << 20
report = json.load(open(sys.argv[1]))
sites = {site["line"]: site for site in report["sites"]}
zeros = report["processes"][0]["memset_bytes"], report["processes"][0]["memset_written_bytes"]
assert zeros == (32 * M, 32 * M), zeros
estimate = {line: site["written_zero_estimate"] for line, site in sites.items()}
if sys.argv[2] == "no":
    assert all(value is None for value in estimate.values()), estimate
    sys.exit()
assert estimate[10] == 48 * M and estimate[15] == 0 and estimate[17] == 32 * M, estimate
assert 20 * M <= estimate[12] <= 44 * M, estimate
assert sites[10]["waste"] == 64 * M and sites[15]["waste"] == 0, sites
assert "~75% of this malloc was written, but holds only zeros (48.0 MiB" in sites[10]["hint"], sites[10]
assert "ask for zeroed memory" in sites[10]["hint"] and "calloc has cleared it already" in sites[17]["hint"], sites
assert "zeros" not in sites[15]["hint"], sites[15]
END_OF_PYTHON
	if [ $scan = yes ]; then
		expect_match "the page shows written zeros" 'class="o" x="0.00"' "$work/zeros.html"
		run report $options -- "$work/zeros"
		expect_match "zeros of memset" '^memset: 32.0M of zeros, of which 32.0M had to be written$' "$work/out"
		expect_match "written zeros in the table" '^ *64.0M  64.0M     75%  ~75%    0%   25% .* main (zeros.c:10)$' "$work/out"
	fi
fi
run report $options -- "$work/known" k
expect "status of a program that was killed" 137 "$status"
expect_match "the report of a program that was killed" '^known\[[0-9]*\], when it was killed: ' "$work/out"
run report $options -- sh -c 'kill -9 $$'
expect_match "message about a program that was killed too early" "sh' was killed by signal 9 (Killed) before it had made a region" "$work/err"

# Paths are opened, and directories made, before the program starts.
expect_failure 125 "cannot write '/nowhere/x': No such file" report $options --html=/nowhere/x -- echo ran
LD_PRELOAD=$LZ_LIBRARY LAZYZERO_REPORT=$work/made/ LAZYZERO_THRESHOLD=1M "$work/known"
expect "a report in a directory that was made" 1 "$(ls "$work/made" | grep -c '^lazyzero-report\.[0-9]*$')"
expect "for its owner only" "drwx------" "$(ls -ld "$work/made" | cut -c 1-10)"

# Demangled C++ names, cut to the width of the table.
cat > "$work/names.cc" <<'END_OF_C'
#include <cstdlib>
namespace a_rather_long_namespace {
template <class T> struct Holder {
	__attribute__((noinline)) static char *make(T count) { return static_cast<char *>(calloc(count, 8 << 20)); }
};
}
int main() { return a_rather_long_namespace::Holder<int>::make(2)[5]; }
END_OF_C
if ${CXX:-c++} -g -fno-builtin -o "$work/a-program-of-a-rather-long-name-that-fills-its-line-alone" "$work/names.cc" 2> "$work/cc.log"; then
	run report $options -- "$work/a-program-of-a-rather-long-name-that-fills-its-line-alone"
	expect_match "a C++ function" ' a_rather_long_namespace::Holder<int>::make(int) (names.cc:4)$' "$work/out"
	run report $options --width=80 -- "$work/a-program-of-a-rather-long-name-that-fills-its-line-alone"
	expect_match "a C++ function, cut" ' a_rather_l\.\. (names.cc:4)$' "$work/out"
	expect "no line is longer than 80 columns" "" "$(grep -E '.{81}' "$work/out")"
	run report $options --json -- "$work/a-program-of-a-rather-long-name-that-fills-its-line-alone"
	expect_match "the full name" '"function": "a_rather_long_namespace::Holder<int>::make(int)"' "$work/out"
else
	echo "skipped: C++ names ($(head -n 1 "$work/cc.log"))"
fi

# Before Linux 6.7, simulated by a filter that makes PAGEMAP_SCAN fail as it did then.
if compile old -O1 <<'END_OF_C' && "$work/old" true; then
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xc0606610, 0, 1), /* PAGEMAP_SCAN */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 77;
	execvp(argv[1], argv + 1);
	return 127;
}
END_OF_C
	"$work/old" "$LZ_COMMAND" report $options -- "$work/known" > "$work/out" 2> "$work/err"
	expect_match "unknown figures" '^     ?  64.0M       ?     ?     ?     ?      ?      1  sparse (known.c:14)$' "$work/out"
	expect "one note about unknown figures" 1 "$(grep -c 'this requires Linux 6.7' "$work/out")"
fi

# Reports in files: at exit, at a signal, in a directory, of a forked child.
run run --report="$work/kept.%e" $options --summary=none "$work/known"
expect "mode of the file" 600 "$(stat -c %a "$work/kept.known")"
run report --json "$work/kept.known"
known_figures zeropage "$work/out"
run run --report="$work/kept.known" $options --summary=none "$work/known"
run report "$work/kept.known"
expect_match "a file with the reports of two runs" '^2 processes: [0-9]* call sites, 4 regions alive$' "$work/out"
run run --report="$work/signal" --report-signal=USR2 $options --summary=none "$work/known" s
expect "reports of a signal and of the exit" 2 "$(grep -c '"lazyzero_report":1' "$work/signal")"
run report --json "$work/signal"
known_figures zeropage "$work/out"
head -n "$(grep -n '"end"' "$work/signal" | head -n 1 | cut -d: -f1)" "$work/signal" > "$work/first"
run report "$work/first"
expect_match "the report of the signal" '^known\[[0-9]*\], at a signal: [0-9]* call sites, 2 regions alive$' "$work/out"
mkdir "$work/many"
run run --report="$work/many" $options --summary=none "$work/known" f
expect "two processes" 2 "$(ls "$work/many" | grep -c '^lazyzero-report\.[0-9]*$')"
run report --json --by=function "$work/many"
python3 - "$work/out" <<'END_OF_PYTHON' || fail "figures of a parent and its child"
import json, sys
report = json.load(open(sys.argv[1]))
sites = {site["function"]: site for site in report["sites"]}
# The report of the child contains only regions it created itself, not inherited ones.
assert len(report["processes"]) == 2, report["processes"]
assert sites["sparse"]["regions_made"] == 2 and sites["dense"]["regions_made"] == 4, sites
assert sites["dense"]["bytes"] == 64 << 20 and len(report["regions"]) == 2, report
END_OF_PYTHON

# Call sites in a library that was unloaded.
if compile plugin.so -g -shared -fPIC -fno-builtin <<'END_OF_C' && compile host -ldl <<'END_OF_HOST'; then
#include <stdlib.h>
char *from_plugin(void)
{
	return calloc(1, 1 << 21); /* line 4 */
}
END_OF_C
#include <dlfcn.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
	void *plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	char *(*make)(void) = plugin ? (char *(*)(void))dlsym(plugin, "from_plugin") : NULL;
	if (!make)
		return 1;
	char *p = make();
	p[0] = 1;
	dlclose(plugin);
	free(p);
	return 0;
}
END_OF_HOST
	run report $options -- "$work/host" "$work/plugin.so"
	expect "status of a host" 0 "$status"
	expect_match "a call site in an unloaded library" '  from_plugin (plugin.so.c:4)$' "$work/out"
fi

# A signal that the program ignores remains ignored. Without LAZYZERO_REPORT_SIGNAL no signal is handled.
run run --report="$work/ignored" --report-signal=USR2 --threshold=1M sh -c "trap '' USR2; exec '$work/known' s"
expect "an ignored signal" 1 "$(grep -c '"executable":"known","reason"' "$work/ignored")"
expect_match "a message about the ignored signal" 'no report at LAZYZERO_REPORT_SIGNAL: the signal is handled or ignored' "$work/err"
run run --report="$work/handled" --report-signal=USR2 $options --summary=none "$work/known" h
expect "the program's own handler runs" "0 mine" "$status $(cat "$work/out")"
expect "only the report of the exit" 1 "$(grep -c '"lazyzero_report":1' "$work/handled")"
run run --report-signal=USR2 --threshold=1M --summary=none "$work/known"
expect_match "a report signal without a report file" 'LAZYZERO_REPORT_SIGNAL has no effect, because LAZYZERO_REPORT is not set' "$work/err"
run run --report="$work/unasked" $options --summary=none "$work/known" s
expect "status with the default action of the signal" 140 "$status"

# File names that are not UTF-8.
odd=$(printf 'j\303\274rgen \351')
mkdir "$work/$odd"
cp "$work/known" "$work/$odd/known"
run report $options -- "$work/$odd/known"
expect_match "a directory whose name is not ASCII, nor UTF-8" '  1  sparse (known.c:14)$' "$work/out"
newline="$work/new
line"
mkdir "$newline"
cp "$work/known" "$newline/known"
run report $options -- "$newline/known"
expect_match "a directory whose name has a newline" '  1  sparse (known.c:14)$' "$work/out"

# Modules that have been replaced or removed or have no symbols are shown as module and offset.
cp "$work/known" "$work/other"
run run --report="$work/other.report" $options --summary=none "$work/other"
rm "$work/other"
run report "$work/other.report"
expect_match "a removed module" '  other+0x[0-9a-f]*$' "$work/out"
sleep 0.05
cp "$(command -v sleep)" "$work/newer" && mv "$work/newer" "$work/other"
run report "$work/other.report"
expect_match "a replaced module" '  other+0x[0-9a-f]*$' "$work/out"
if command -v strip > /dev/null; then
	strip -o "$work/stripped" "$work/known"
	run report $options -- "$work/stripped"
	expect_match "a module without symbols" '  stripped+0x[0-9a-f]*$' "$work/out"
	expect "the number of call sites" 3 "$(grep '%' "$work/out" | grep -o '  stripped+0x[0-9a-f]*$' | sort -u | wc -l)"
fi

# A report file that cannot be created is reported at the start; the program runs.
for place in /nowhere/report "$work/link"; do
	ln -sf "$work/target" "$work/link"
	run run --report=$place --threshold=1M --summary=none "$work/known" 3
	expect "status with --report=$place" 3 "$status"
	expect "one warning: $place" 1 "$(grep -c 'no report: cannot write LAZYZERO_REPORT=' "$work/err")"
	[ ! -e "$work/target" ] || fail "a link was followed"
done
if [ -w /dev/full ]; then
	run run --report=/dev/full --threshold=1M --summary=none "$work/known"
	expect_match "a full disk" 'cannot write LAZYZERO_REPORT="/dev/full": No space left on device' "$work/err"
	run report --html=/dev/full "$work/first"
	expect "status of a page on a full disk" 125 "$status"
	expect_match "a page on a full disk" "cannot write '/dev/full': No space left" "$work/err"
fi
expect_failure 125 "no report and no program given" report
expect_failure 125 "no program given" report --
for width in 79 10001 wide ''; do
	expect_failure 125 "is not accepted: it takes a number from 80 to 10000" report --width="$width" "$work/first"
done
expect_failure 125 "--budget applies to a program that is run: put '--' before the program" report --budget=1M "$work/first"
expect_failure 125 "cannot read '/nowhere': No such file" report /nowhere
expect_failure 127 "cannot run '/nowhere': No such file" report -- /nowhere
expect "TMPDIR is empty" "" "$(ls "$TMPDIR")"
if [ -w /dev/full ]; then
	"$LZ_COMMAND" report "$work/first" > /dev/full 2> "$work/err" && fail "no failure on a full disk"
	expect_match "the reason for the failure" 'cannot write to standard output: No space left' "$work/err"
fi
mkdir "$work/empty"
expect_failure 125 "contains no report" report "$work/empty"
: > "$work/none"
expect_failure 125 "is empty: the program is still running" report "$work/none"
for text in '{' '[]' '{"t":1}' 'null' '[[[[[[[[' '{"lazyzero_report":"1"}'; do
	echo "$text" > "$work/none"
	expect_failure 125 "is not a report" report "$work/none"
done
expect_failure 125 "has a line longer than 64.0 KiB" report /dev/zero
echo '{"lazyzero_report":7,"pid":1}' > "$work/none"
expect_failure 125 "is a report of version 7; this command reads version 1" report "$work/none"

# Truncated and damaged reports are shown as far as they can be parsed.
cat > "$work/damage.py" <<'END_OF_PYTHON'
import json, random, subprocess, sys
command, path, out, seed, html = sys.argv[1:]
random.seed(int(seed))
whole = open(path, "rb").read()
odd = [b"1e308", b"-5", b"99999999999999999999999", b"9223372036854775807", b"null", b"{}", b"[]", b'"x"', b"\xff", b"true"]
for i in range(60):
    data = bytearray(whole)
    if i % 2:
        del data[random.randrange(len(data)):]
    for _ in range(random.choice((0, 1, 3, 20)) if i % 2 else random.choice((1, 5, 50))):
        at = random.randrange(len(data)) if data else 0
        if not data:
            break
        if random.random() < 0.5:
            data[at] = random.randrange(256)
        else:
            digits = [j for j in range(at, min(len(data), at + 400)) if 48 <= data[j] < 58]
            if digits:
                at = random.choice(digits)
                data[at:at + 1] = random.choice(odd)
    open(out, "wb").write(data)
    for form in (["--json"], ["--all", "--html=" + html]):
        done = subprocess.run([command, "report"] + form + [out], capture_output=True, timeout=20)
        if done.returncode not in (0, 125) or b"Sanitizer" in done.stderr or (done.returncode == 125 and not done.stderr):
            sys.exit(f"seed {seed}, {i}: status {done.returncode}: {done.stderr[-500:]}")
        if done.returncode == 0 and form == ["--json"]:
            json.loads(done.stdout)
END_OF_PYTHON
seed=$(date +%s)
echo "seed $seed"
python3 "$work/damage.py" "$LZ_COMMAND" "$work/signal" "$work/damaged" "$seed" "$work/damaged.html" || fail "a damaged report"

# The HTML page: complete, loads nothing, escapes all text.
cp "$work/known" "$work/<b>&\"'"
run report $options --html="$work/page.html" -- "$work/<b>&\"'" 3
expect "status with a page" 3 "$status"
python3 - "$work/page.html" $scan <<'END_OF_PYTHON' || fail "the page"
import html.parser, sys
text = open(sys.argv[1]).read()
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], {}, ""
    def handle_starttag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        assert not any(name in ("src", "href", "xlink:href") or name.startswith("on") for name, _ in attributes)
        if tag not in ("meta", "br"):
            self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1
    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag
    def handle_data(self, data):
        self.text += data
page = Page()
page.feed(text)
page.close()
assert page.open == [], page.open
assert "script" not in page.tags and "b" in page.tags and "url(" not in text and "//" not in text.replace("<!", ""), page.tags
assert page.tags["figure"] == 5 and page.tags["path"] == 5, page.tags
for wanted in ("<b>&\"'", "known.c:14", "sparse", "Page tables", "0x", {"yes": "of this calloc was never touched", "no": "PAGEMAP_SCAN"}[sys.argv[2]]):
    assert wanted in page.text, wanted
assert "width=device-width" in text
END_OF_PYTHON

# A record without samples: what ran, and no timeline. Where the record is of a signal, that is said.
echo '{"lazyzero_record":1,"program":["/bin/a b","it'"'"'s"],"unix_time":1700000000,"geometry":"","host":"<h>","kernel":"Linux 6"}' \
	> "$work/short.jsonl"
echo '{"end":1.5,"exit_status":null,"signal":9}' >> "$work/short.jsonl"
run report --html="$work/short.html" --record="$work/short.jsonl" "$work/first"
expect "status with a record without samples" 0 "$status"
expect_match "the command line" "<code>'/bin/a b' 'it&#39;.&#39;&#39;s'</code>" "$work/short.html"
expect_match "the run" 'Started 2023-11-1[45] .* on &lt;h&gt;, Linux 6, ran for 1.5 s, .*killed by signal 9 (Killed)' "$work/short.html"
expect_no_match "no timeline" 'Timeline' "$work/short.html"
expect_match "a flame graph" '<svg class="flame"' "$work/short.html"

# In a browser, on a wide and on a narrow screen: nothing is wider than the screen.
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || browser=
if [ -n "$browser" ]; then
	cat > "$work/frame.html" <<'END_OF_HTML'
<!DOCTYPE html><body style="margin:0"><iframe id="f" src="page.html" style="border:0;height:3000px"></iframe><p id="o"></p>
<script>
var widths = [320, 390, 1280], out = [], f = document.getElementById("f");
f.onload = function () {
	widths.forEach(function (w) {
		f.style.width = w + "px";
		out.push(w + ":" + (f.contentDocument.documentElement.scrollWidth <= w));
	});
	document.getElementById("o").textContent = out.join(" ") + " " + f.contentDocument.querySelectorAll("svg").length;
};
</script>
END_OF_HTML
	timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync --allow-file-access-from-files \
		--user-data-dir="$work/browser" --virtual-time-budget=5000 --dump-dom "file://$work/frame.html" \
		> "$work/dom" 2> "$work/browser.log"
	expect_match "the page in a browser" '320:true 390:true 1280:true [1-9]' "$work/dom"
else
	echo "skipped: the page in a browser (no chromium)"
fi

finish
