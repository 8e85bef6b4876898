#!/bin/sh
# The call stacks of a report are those that heaptrack, which unwinds with libunwind and libdw, finds in the same program.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

for needed in heaptrack heaptrack_print g++ "${LZ_PYTHON3:-python3}"; do
	command -v "$needed" > /dev/null || { echo "skipped: $needed is missing"; exit 77; }
done
case $(uname -m) in
x86_64 | aarch64) ;;
*) echo "skipped: stacks are not walked on this machine"; exit 77 ;;
esac
cat > "$work/stacks.cc" <<'END'
#include <cstdlib>
#include <vector>
__attribute__((noinline)) double *twice(size_t n)
{
	double *a = new double[n]();
	double *b = new double[n]();
	b[0] = a[0];
	return b;
}
struct Grid {
	std::vector<double> cells;
	__attribute__((noinline)) explicit Grid(size_t n) : cells(n, 1.0) {}
};
template <class T> static inline T *inlined(size_t n)
{
	return static_cast<T *>(calloc(n, sizeof(T)));
}
__attribute__((noinline)) static void *deep(int depth)
{
	void *volatile p = depth > 0 ? deep(depth - 1) : inlined<char>(44000000);
	return p;
}
int main()
{
	double *p = twice(5000000);
	Grid grid(6000000);
	void *q = deep(7);
	return p[0] + grid.cells[0] + (q == nullptr) > 5;
}
END
for optimization in -O0 -O1 -O2; do
	g++ -g $optimization -fno-optimize-sibling-calls -o "$work/stacks" "$work/stacks.cc" || { fail "g++ $optimization"; continue; }
	rm -f "$work"/track.*
	heaptrack -o "$work/track" "$work/stacks" > "$work/out" 2>&1 || fail "heaptrack: $(tail -n 1 "$work/out")"
	heaptrack_print -f "$work"/track.* -a 0 -T 0 -l 0 -p 1 > "$work/expected" 2> /dev/null
	"$LZ_COMMAND" report --library="$LZ_LIBRARY" --json -- "$work/stacks" > "$work/report.json" 2> "$work/err" ||
		fail "report: $(cat "$work/err")"
	"${LZ_PYTHON3:-python3}" - "$work/expected" "$work/report.json" <<'END' || fail "the stacks differ, $optimization"
import json, os, re, sys
def lines_of(text):
    return tuple(int(n) for n in re.findall(r"stacks\.cc:(\d+)", text))
# "48.00M peak memory consumed over 1 calls from", the stack inside functions, "48.00M consumed over 1 calls from:", callers.
want = set()
for block in re.split(r"\n(?=[0-9.]+[KMGB] peak memory)", open(sys.argv[1]).read()):
    found = re.match(r"([0-9.]+)M peak memory", block)
    if found and float(found[1]) > 30:
        # heaptrack counts a function that calls itself once for each call.
        want.add((round(float(found[1])), lines_of(block)))
have = set()
for site in json.load(open(sys.argv[2]))["sites"]:
    lines = [f["line"] for f in site["stack"] if f["file"] and os.path.basename(f["file"]) == "stacks.cc"]
    have.add((round(site["bytes_asked"] / 1e6), tuple(lines)))
assert len(want) >= 4, want
assert want == have, f"heaptrack: {sorted(want)}\nreport:    {sorted(have)}"
END
done
finish
