# `report`: call stacks. Each language's program makes two requests of one size in one function; both lines are named.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

[ -f "${LZ_LIBRARY:-}" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
command -v python3 > /dev/null || { echo "skipped: python3 is missing"; exit 77; }
case $(uname -m) in
x86_64 | aarch64) ;;
*) echo "skipped: stacks are not walked on this machine"; exit 77 ;;
esac
options="--threshold=1M --malloc-threshold=1M --log=none"
# load(PATH): the JSON that follows the output of the program itself.
cat > "$work/json_loader.py" <<'END_OF_PYTHON'
import json
def load(path):
    text = open(path).read()
    return json.loads(text[text.index("{\n"):])
END_OF_PYTHON
export PYTHONPATH="$work" PYTHONDONTWRITEBYTECODE=1

# headlines FILE: prints the function, the base name of the file and the line of each row, sorted.
headlines()
{
	python3 -c '
import os, sys
from json_loader import load
for site in load(sys.argv[1])["sites"]:
    print(site["function"], os.path.basename(site["file"] or "?"), site["line"])' "$1" | sort
}

# C: through wrappers, a function with a frame of variable size, recursion, a signal handler, an inlined function.
compile frames -g -O2 -fno-builtin <<'END_OF_C' || exit 77
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#define SIZE (2 << 20)
static char *volatile kept[32];
static int volatile count;
static inline __attribute__((always_inline)) void keep(void *p)
{
	kept[count++] = p;
}
__attribute__((noinline)) static void two(void)
{
	keep(calloc(1, SIZE)); /* line 13 */
	keep(calloc(1, SIZE)); /* line 14 */
}
__attribute__((noinline)) void *xmalloc(size_t size)
{
	void *p = malloc(size);
	if (p == NULL)
		abort();
	return p;
}
static inline __attribute__((always_inline)) void inlined(void)
{
	keep(xmalloc(SIZE)); /* line 25 */
}
__attribute__((noinline)) static void variable(int n)
{
	char room[n];
	memset(room, 1, (size_t)n);
	__asm__ volatile("" : : "r"(room) : "memory");
	keep(malloc(SIZE)); /* line 32 */
	__asm__ volatile("" : : "r"(room) : "memory");
}
__attribute__((noinline)) static void aligned(void)
{
	char room[64] __attribute__((aligned(64)));
	__asm__ volatile("" : : "r"(room) : "memory");
	keep(malloc(SIZE)); /* line 39 */
	__asm__ volatile("" : : "r"(room) : "memory");
}
__attribute__((noinline)) static void recursive(int n)
{
	if (n > 0)
		recursive(n - 1); /* line 45 */
	else
		keep(malloc(SIZE)); /* line 47 */
	__asm__ volatile("" : : : "memory");
}
static void answer(int signal)
{
	(void)signal;
	keep(malloc(SIZE)); /* line 53 */
}
int main(void)
{
	two(); /* line 57 */
	inlined(); /* line 58 */
	variable(10); /* line 59 */
	variable(5000); /* line 60 */
	aligned(); /* line 61 */
	recursive(40);
	signal(SIGUSR1, answer);
	raise(SIGUSR1); /* line 64 */
	return 0;
}
END_OF_C
run report $options --json -- "$work/frames"
cp "$work/out" "$work/frames.json"
expect "C: the lines of all requests" "aligned frames.c 39
answer frames.c 53
inlined frames.c 25
recursive frames.c 47
two frames.c 13
two frames.c 14
variable frames.c 32
variable frames.c 32" "$(headlines "$work/frames.json")"
python3 - "$work/frames.json" <<'END_OF_PYTHON' || fail "C: the stacks"
import sys
from json_loader import load
sites = load(sys.argv[1])["sites"]
def chain(line):
    return [[(f["function"], f["line"]) for f in s["stack"] if f["file"] and f["file"].endswith("frames.c")] for s in sites if s["line"] == line]
assert chain(13) == [[("two", 13), ("main", 57)]], chain(13)
# addr2line -i: the function that was inlined, and where.
assert chain(25) == [[("xmalloc", 18), ("inlined", 25), ("main", 58)]], chain(25)
assert sorted(chain(32)) == [[("variable", 32), ("main", 59)], [("variable", 32), ("main", 60)]], chain(32)
assert chain(39) == [[("aligned", 39), ("main", 61)]], chain(39)
assert chain(47) == [[("recursive", 47)] + [("recursive", 45)] * 31], chain(47)
# Across a signal: the handler, its trampoline, raise, main.
assert chain(53) == [[("answer", 53), ("main", 64)]], [s["stack"] for s in sites if s["line"] == 53]
END_OF_PYTHON
run report $options -- "$work/frames"
expect_match "the chain below the headline" '^       called by main (frames.c:57)$' "$work/out"
expect "no frames of the C library in the chain" 0 "$(grep -c '__libc_start' "$work/out")"

# Every frame of the program is what addr2line says.
if command -v addr2line > /dev/null; then
	python3 - "$work/frames.json" <<'END_OF_PYTHON' || fail "addr2line disagrees"
import subprocess, sys
from json_loader import load
checked = 0
for site in load(sys.argv[1])["sites"]:
    frames = {}
    for f in site["stack"]:
        if f["module"] and f["module"].endswith("/frames"):
            frames.setdefault(f["offset"], []).append((f["function"], f"{f['file']}:{f['line']}"))
    for offset, places in frames.items():
        out = subprocess.run(["addr2line", "-fie", site["module"], hex(offset - 1)], capture_output=True, text=True).stdout.split("\n")
        expected = list(zip(out[0::2], (line.split(" (disc")[0] for line in out[1::2])))
        if not expected[0][1].startswith("?"):
            got = [(name, place) for name, place in places]
            # The same lines; a recursive function appears once in a stack of different addresses.
            assert [p[0] for p in got[:len(expected)]] == [e[0] for e in expected], (hex(offset), got, expected)
            assert [p[1] for p in got[:len(expected)]] == [e[1] for e in expected], (hex(offset), got, expected)
            checked += 1
assert checked >= 12, checked
END_OF_PYTHON
else
	echo "skipped: addr2line is missing"
fi

# Merging, patterns to be skipped, folded stacks.
run run --report="$work/frames.report" $options --summary=none "$work/frames"
run report --json --by=function "$work/frames.report"
expect "by function" "aligned ? None
answer ? None
inlined ? None
recursive ? None
two ? None
variable ? None" "$(headlines "$work/out")"
run report --json --by=line "$work/frames.report"
expect "by line" 7 "$(headlines "$work/out" | wc -l)"
run report --by=module "$work/frames.report"
expect_match "by module" '^ .* 16.0M .* 8  frames$' "$work/out"
expect_failure 125 'it takes stack, line, function or module' report --by=file "$work/frames.report"
run report --json --skip='two,vari*' "$work/frames.report"
expect "skipped functions" "main frames.c 57
main frames.c 57
main frames.c 59
main frames.c 60" "$(headlines "$work/out" | grep main)"
run report --folded "$work/frames.report"
expect_match "folded stacks" ';main;inlined;xmalloc;\[[a-z ]*\] 2[0-9]*$' "$work/out"
expect "the bytes of folded stacks" 16777216 "$(awk '{ sum += $NF } END { print sum }' "$work/out")"
expect "no frame after the stack" "" "$(grep -vE '^[^ ;]+(;[^;]+)* [0-9]+$' "$work/out")"

# Separate debug files: by build-id, by .gnu_debuglink, in another root; and a report of an older lazyzero.
if command -v objcopy > /dev/null && command -v strip > /dev/null; then
	cp "$work/frames" "$work/bare"
	objcopy --only-keep-debug "$work/bare" "$work/bare-symbols"
	strip "$work/bare"
	run run --report="$work/bare.report" $options --summary=none "$work/bare"
	run report --json "$work/bare.report"
	expect "no debug information" 0 "$(headlines "$work/out" | grep -c 'frames.c')"
	id=$(sed -n 's/.*bare","inode".*"build_id":"\([0-9a-f]*\)".*/\1/p' "$work/bare.report")
	[ -n "$id" ] || fail "no build-id was recorded"
	rest=${id#??}
	mkdir -p "$work/debug/.build-id/${id%"$rest"}"
	cp "$work/bare-symbols" "$work/debug/.build-id/${id%"$rest"}/$rest.debug"
	run report --json --debug-path="$work/debug" "$work/bare.report"
	expect_match "a debug file by build-id" '"function": "two"' "$work/out"
	cp "$work/bare" "$work/moved"
	rm "$work/bare"
	run report --json --debug-path="$work/debug" "$work/bare.report"
	expect_match "a debug file of a program that is gone" '"function": "two"' "$work/out"
	mkdir -p "$work/root$work"
	mv "$work/moved" "$work/root$work/bare"
	run report --json --sysroot="$work/root" --debug-path="$work/debug" "$work/bare.report"
	expect_match "a file in another root" '"function": "two"' "$work/out"
	cp "$work/frames" "$work/linked"
	(cd "$work" && mkdir -p .debug && objcopy --only-keep-debug linked .debug/linked.debug && strip linked &&
		objcopy --add-gnu-debuglink=.debug/linked.debug linked)
	run report $options --json -- "$work/linked"
	expect_match "a debug file by its link" '"function": "two"' "$work/out"
else
	echo "skipped: separate debug files (objcopy or strip is missing)"
fi
python3 - "$work/frames.report" > "$work/old.report" <<'END_OF_PYTHON'
import json, sys
for line in open(sys.argv[1]):
    line = json.loads(line)
    for name in ("stack", "build_id", "written_zero"):
        line.pop(name, None)
    print(json.dumps(line, separators=(",", ":")))
END_OF_PYTHON
run report "$work/old.report"
expect_match "a report without stacks" ' two (frames.c:13)$' "$work/out"

# A virtual machine whose frames are not read.
if compile libjvm.so -shared -fPIC -O1 -g <<'END_OF_C'
#include <stdlib.h>
void *interpret(void)
{
	void *p = calloc(1, 4 << 20);
	__asm__ volatile("" : : "r"(p) : "memory");
	return p;
}
END_OF_C
then
	compile machine -g "$work/libjvm.so" <<'END_OF_C'
void *interpret(void);
int main(void)
{
	return interpret() == 0;
}
END_OF_C
	run report $options -- "$work/machine"
	expect_match "a row of a virtual machine" ' interpret (libjvm.so.c:4)$' "$work/out"
	expect "a note on it" "Frames of Java are not read: a call site shows the native code." "$(tail -n 1 "$work/out")"
	run report $options --html="$work/machine.html" -- "$work/machine"
	expect_match "the note on the page" 'Frames of Java are not read' "$work/machine.html"
fi
run report "$work/frames.report"
expect_no_match "no note" '^Frames of' "$work/out"

# C++: new, containers, templates; names of the C++ library are not the headline.
cat > "$work/cxx.cc" <<'END_OF_CXX'
#include <vector>
#include <memory>
namespace app {
template <class T> __attribute__((noinline)) T *two(std::size_t n, T *&other)
{
	T *first = new T[n]; // line 6
	other = new T[n]; // line 7
	return first;
}
struct Table {
	std::vector<double> values;
	explicit Table(std::size_t n) : values(n) {} // line 12
};
}
double *volatile sink;
int main(int argc, char **)
{
	std::size_t n = 300000u * (unsigned)argc;
	double *other;
	sink = app::two<double>(n, other); // line 20
	sink = other;
	app::Table table(n); // line 22
	sink = table.values.data();
	auto owned = std::make_unique<double[]>(n); // line 24
	sink = owned.get();
	return 0;
}
END_OF_CXX
if ${CXX:-c++} -g -O2 -o "$work/cxx" "$work/cxx.cc" 2> "$work/cc.log"; then
	run report $options --json -- "$work/cxx"
	python3 - "$work/out" <<'END_OF_PYTHON' || fail "C++"
import sys
from json_loader import load
lines = sorted((s["line"], s["function"].split("(")[0]) for s in load(sys.argv[1])["sites"])
assert [line for line, _ in lines] == [6, 7, 12, 24], lines
assert lines[0][1].endswith("app::two<double>") and lines[2][1] == "app::Table::Table" and lines[3][1] == "main", lines
END_OF_PYTHON
else
	echo "skipped: C++ ($(head -n 1 "$work/cc.log"))"
fi

# Rust, with both manglings.
cat > "$work/rust.rs" <<'END_OF_RUST'
#[inline(never)]
fn two(n: usize) -> (Vec<u8>, Vec<u8>) {
    let a = vec![0u8; n];
    let b = vec![0u8; n];
    (a, b)
}
fn main() {
    let n = std::env::args().count() * 5_000_000;
    let (a, b) = two(n);
    let mut c: Vec<u64> = Vec::with_capacity(n);
    c.push(1);
    println!("{} {} {}", a[4], b[5], c[0]);
}
END_OF_RUST
for mangling in legacy v0; do
	if rustc -g -O -C symbol-mangling-version=$mangling -o "$work/rust" "$work/rust.rs" > "$work/cc.log" 2>&1 ||
		{ [ $mangling = legacy ] && rustc -g -O -o "$work/rust" "$work/rust.rs" > "$work/cc.log" 2>&1; }; then
		run report $options --json -- "$work/rust"
		expect "Rust, mangling $mangling" "rust::main rust.rs 10
rust::two rust.rs 3
rust::two rust.rs 4" "$(headlines "$work/out")"
	else
		echo "skipped: Rust with the mangling $mangling ($(head -n 1 "$work/cc.log"))"
	fi
done

finish
