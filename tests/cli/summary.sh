# The summary of `run`: figures, JSON, several processes, and a program without the library.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

run run sh -c :
expect_match "first line" '^lazyzero: sh exited with status 0 after [0-9.e-]* s$' "$work/err"
for row in "page tables" budget resident served mappings "over budget" processes; do
	expect_match "row $row" "^  $row  *[0-9n]" "$work/err"
done
expect_match "one process" '^  processes  *1$' "$work/err"
expect "standard output" "" "$(cat "$work/out")"
run run --summary=none sh -c :
expect "no summary" "" "$(cat "$work/err")"
run run "$(command -v sh)" -c : "$(printf '%0200d' 1)"
expect "no line is longer than 80 columns" "" "$(grep -E '.{81}' "$work/err")"
ln -s "$(command -v sh)" "$work/$(printf '%0200d' 1)"
run run --budget=1.00000000000000000001G "$work/$(printf '%0200d' 1)" -c :
expect "no line is longer than 80 columns with a long name" "" "$(grep -E '.{81}' "$work/err")"

# Three processes: sh and two children.
run run sh -c 'sh -c :; sh -c :; :'
expect_match "three processes" '^  processes  *3$' "$work/err"

if compile reader <<'END'; then
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	size_t size = (size_t)256 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *block = calloc(1, size);
	size_t at;
	if (!block)
		return 12;
	for (at = 0; at < size; at += page)
		(void)block[at];
	if (argc > 1)
		mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argc > 1)
		execl(argv[0], argv[0], NULL);
	return 0;
}
END
	run run --thp=never "$work/reader"
	expect_match "one process" "^  page tables  [0-9.]* [KM]iB at the peak$" "$work/err"
	expect_match "served requests" '^  served  *1 region, 256 MiB$' "$work/err"
	run run --backing=zeropage --thp=never --budget=64K --policy=log --log=none "$work/reader"
	expect_match "over budget, logged" '^  over budget  *1 served, 0 refused$' "$work/err"
	expect_match "the budget and its source" '^  budget  *64\.0 KiB (LAZYZERO_BUDGET=64K)$' "$work/err"
	run run --backing=zeropage --budget=64K --policy=refuse --log=none "$work/reader"
	expect "status of a refused program" 12 "$status"
	expect_match "over budget, refused" '^  over budget  *0 served, 1 refused$' "$work/err"
fi

# --fail-tables: the status tells a run that exceeded it from one that did not and from a failure of the program.
if [ -x "$work/reader" ]; then
	set -- run --thp=never --backing=zeropage
	tables=$(($(getconf PAGESIZE) < 65536 ? 100 : 8)) # KiB, fewer than the reader needs and more than a shell does
	run "$@" --fail-tables=1G "$work/reader"
	expect "status below --fail-tables" 0 "$status"
	expect_no_match "no message below --fail-tables" 'fail-tables' "$work/err"
	run "$@" --fail-tables=${tables}K sh -c '"$1" & wait $!; exit 0' - "$work/reader"
	expect "status above --fail-tables" 123 "$status"
	expect_match "process, peak and limit" '^lazyzero: the page tables of reader ([0-9]*) reached [0-9.]* KiB, more than --fail-tables=[0-9.]* KiB' "$work/err"
	run "$@" --fail-tables=${tables}K sh -c '"$1"; "$1"; exit 0' - "$work/reader"
	expect_match "two processes above it" 'fail-tables=.*; 1 more processes exceeded it$' "$work/err"
	run "$@" --fail-tables=${tables}K sh -c '"$1"; exit 7' - "$work/reader"
	expect "the status of a program that failed" 7 "$status"
	expect_match "its message" 'more than --fail-tables' "$work/err"
	run "$@" --fail-tables=${tables}K sh -c '"$1"; kill -9 $$' - "$work/reader"
	expect "the status of a program that was killed" 137 "$status"
	run run --fail-tables=1K --disable=1 true
	[ "$status" -eq 123 ] || expect_match "a program too short" 'warning: --fail-tables: the program ended before' "$work/err"
fi
expect_failure 125 '--fail-tables: "1X" is not accepted: it takes bytes' run --fail-tables=1X true
expect_failure 125 '--fail-tables cannot be used with --summary=none' run --fail-tables=1M --summary=none true

if compile zeroer <<'END'; then
#include <stdlib.h>
#include <string.h>
int main(void)
{
	size_t size = (size_t)64 << 20;
	char *block = malloc(size);

	memset(block, 0, size);
	block[size / 2] = 1;
	memset(block, 0, size);
	return block[size / 2];
}
END
	if "$LZ_COMMAND" doctor | grep -q '^ok *PAGEMAP_SCAN'; then
		run run "$work/zeroer"
		expect_match "zeros asked for and written" '^  memset  *128 MiB of zeros, of which 4\.00 KiB had to be written$' "$work/err"
		run run --intercept=malloc,calloc,mmap "$work/zeroer"
		expect "no row without the family" "" "$(grep '^  memset' "$work/err")"
	fi
fi

if command -v python3 > /dev/null; then
	run run --summary=json sh -c 'exit 3'
	expect "JSON is one line" 1 "$(wc -l < "$work/err" | tr -d ' ')"
	cat > "$work/check.py" <<'END'
import json, sys
# The shell may print a line about a signal.
said = json.loads([line for line in open(sys.argv[1]) if line.startswith("{")][-1])
bad = {name: said.get(name) for name, value in json.loads(sys.argv[2]).items() if said.get(name) != value}
assert not bad, (bad, said)
END
	holds()
	{
		python3 "$work/check.py" "$work/err" "$1" || fail "JSON of: $2"
	}
	holds '{"format_version": 1, "fail_tables_bytes": null, "program": "sh", "exit_status": 3, "signal": null, "active": true, "inactive_reason": null,
		"processes": 1, "budget_bytes": null, "regions": 0, "refused": 0}' "exit 3"
	run run --summary=json sh -c 'kill -9 $$'
	holds '{"exit_status": null, "signal": 9}' "kill -9"
	run run --summary=json --disable=1 sh -c :
	holds '{"active": false, "processes": 0, "inactive_reason": "LAZYZERO_DISABLE is 1"}' "disabled"
	if [ -x "$work/reader" ]; then
		run run --summary=json --thp=never --budget=1G "$work/reader" twice
		holds '{"regions": 2, "region_bytes": 536870912, "mappings": 1, "mapping_bytes": 67108864,
			"budget_bytes": 1073741824, "budget_source": "LAZYZERO_BUDGET=1G", "processes": 1}' "reader"
		python3 - "$work/err" <<'END' || fail "figures of the reader"
import json, resource, sys
said = json.load(open(sys.argv[1]))
pages = (256 << 20) // resource.getpagesize()
assert said["page_tables_peak_bytes"] >= pages * 8, said
assert said["minor_faults"] >= pages, said
assert said["committed_peak_bytes"] >= pages * 8, said
END
		if "${LZ_BUILDDIR:-.}/tests/kernel" zero-page "the resident peak of the reader"; then
			python3 - "$work/err" <<'END' || fail "the resident peak of the reader"
import json, sys
said = json.load(open(sys.argv[1]))
assert said["resident_peak_bytes"] < 64 << 20, said
END
		fi
	fi
else
	echo "skipped: JSON (no python3)"
fi

# Page tables of several processes: the peak of all together, that of the largest, and the sum of the peaks.
if compile family -D_GNU_SOURCE <<'END'; then
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
/* Each page needs 8 bytes of page tables: 128 KiB. */
static void touch(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = page << 14;
	volatile char *block = calloc(1, size);
	for (size_t at = 0; block != NULL && at < size; at += page)
		(void)block[at];
}
/* family N: N children have their memory at the same time, and end without a word to the library. */
int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0, ready[2], end[2];
	char byte;
	if (count == 0)
		touch();
	if (count == 0 || pipe(ready) != 0 || pipe(end) != 0)
		return 0;
	for (int i = 0; i < count; i++)
		if (fork() == 0) {
			close(end[1]);
			touch();
			(void)!write(ready[1], "", 1);
			(void)!read(end[0], &byte, 1);
			_exit(0);
		}
	for (int i = 0; i < count; i++)
		(void)!read(ready[0], &byte, 1);
	usleep(500000);
	close(end[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
END
	each=131072
	# tables NAME: a size in the summary, in bytes, from its row of text.
	tables()
	{
		sed -n "s/^  *\(page tables  \)\{0,1\}\([0-9.]*\) \([KM]\)iB $1.*/\2 \3/p" "$work/err" |
			awk '{ printf "%d\n", $1 * ($2 == "M" ? 1048576 : 1024) }'
	}
	# The tables of any process are small only where they have 4 KiB.
	limit=$((3 * each))
	[ "$(getconf PAGESIZE)" -eq 4096 ] || limit=$((64 * each))
	# exceeds WHAT LEAST GOT
	exceeds()
	{
		[ "${3:-0}" -ge "$2" ] || { fail "$1: ${3:-none}, expected at least $2"; sed 's/^/    /' "$work/err"; }
	}
	run run --thp=never --backing=zeropage "$work/family" 10
	exceeds "ten children at one time" $((10 * each)) "$(tables 'at the peak, of all processes together')"
	exceeds "the largest of them" "$each" "$(tables 'at the peak of the largest process')"
	[ "$(tables 'at the peak of the largest process')" -lt $limit ] || fail "the largest of ten children"
	exceeds "the sum of them" $((10 * each)) "$(tables 'is the sum of the peaks of 11 processes')"
	expect_match "what is resident" '^  resident  .* at the peak of the largest process; [0-9]* minor' "$work/err"
	expect_match "what is summed up" '^  *(the rows from served on are sums over them)$' "$work/err"
	expect_match "what would be touched" ' if all large memory of one process were touched' "$work/err"
	expect "no line is longer than 80 columns with several processes" "" "$(grep -E '.{81}' "$work/err")"
	run run --thp=never --backing=zeropage sh -c '"$1" 1; true' - "$work/family"
	exceeds "a grandchild that calls _exit" "$each" "$(tables 'at the peak, of all processes together')"

	# Too short for samples: their statistics files have their peaks. They were not there at one time.
	run run --thp=never --backing=zeropage sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do "$1"; done' - "$work/family"
	exceeds "the sum of short processes" $((10 * each)) "$(tables 'is the sum of the peaks of 11 processes')"
	[ "$(tables 'at the peak, of all processes together')" -lt $((2 * limit)) ] || fail "the peak of ten processes one after another"
	if command -v python3 > /dev/null; then
		run run --thp=never --backing=zeropage --summary=json "$work/family" 10
		python3 - "$work/err" $each $limit <<'END' || fail "JSON of several processes"
import json, sys
said = json.load(open(sys.argv[1]))
each, limit = int(sys.argv[2]), int(sys.argv[3])
assert each <= said["page_tables_largest_peak_bytes"] < limit, said
assert 10 * each <= said["page_tables_peak_bytes"] <= said["page_tables_peaks_sum_bytes"], said
END
	fi
fi

# Programs in which the library is not active.
run run --disable=1 sh -c :
expect_match "disabled" '^  LAZYZERO_DISABLE is 1\.$' "$work/err"
run run --only=other sh -c :
expect_match "not named in LAZYZERO_ONLY" '^  LAZYZERO_ONLY names other programs\.$' "$work/err"
run run env -u LD_PRELOAD LAZYZERO_STATS=/nowhere/ sh -c : # env itself has it, and its statistics go elsewhere
expect_match "env itself counts as a process" '^  processes  *1$' "$work/err"

# A directory that the user names is kept, and files of earlier processes in it are not counted.
mkdir "$work/stats"
run run --stats="$work/stats" sh -c 'sh -c :; :'
expect_match "named directory" '^  processes  *2$' "$work/err"
expect "its files are kept" 2 "$(ls "$work/stats" | wc -l | tr -d ' ')"
sleep 0.05
echo foreign > "$work/stats/lazyzero.1"
dd if=/dev/zero of="$work/stats/lazyzero.2" bs=4096 count=1 2> /dev/null
mkfifo "$work/stats/lazyzero.3"
ln -s /etc/passwd "$work/stats/lazyzero.4"
: > "$work/stats/lazyzero.x"
run run --stats="$work/stats" sh -c :
expect "status beside foreign files" 0 "$status"
expect_match "earlier processes are not counted" '^  processes  *1$' "$work/err"
expect_match "foreign files are not included" 'warning: not included in the summary: lazyzero\.[0-9]: .*; and 3 more' "$work/err"
expect "one warning" 1 "$(grep -c 'not included' "$work/err")"
(cd "$work" && mkdir moved && run run --stats=relative sh -c 'cd moved; sh -c :; :')
expect_match "a relative path of a file" '^  processes  *1$' "$work/err"
[ -s "$work/relative" ] || fail "--stats=relative is not in the directory of the command"
(LAZYZERO_STATS=$work/byenv; export LAZYZERO_STATS; run run sh -c :)
[ -s "$work/byenv" ] || fail "LAZYZERO_STATS of the environment is not used"

# A command removes the directory that a killed command left behind, unless it belongs to another user or has files of
# a live process.
mkdir "$work/tmp"
namespace=$(stat -Lc %i /proc/self/ns/pid)
(TMPDIR=$work/tmp failures=0; export TMPDIR; unset XDG_RUNTIME_DIR
"$LZ_COMMAND" run sleep 60 2> /dev/null &
until ls "$work/tmp/"*/lazyzero.* > /dev/null 2>&1; do sleep 0.05; done
sleeper=$(cd "$work/tmp" && ls ./*/ | sed -n 's/^lazyzero\.//p')
mkdir "$work/tmp/lazyzero.1.$$.1.abcdef" "$work/tmp/lazyzero.other" "$work/tmp/lazyzero.$namespace.$$.1.abcdef"
kill -9 $!
wait $! 2> /dev/null
run run sh -c :
expect "the directory while its program is alive" 1 "$(ls "$work/tmp" | grep -c "^lazyzero\.$namespace\.")"
kill "$sleeper"
while [ -e "/proc/$sleeper" ] && ! grep -q '^State:.Z' "/proc/$sleeper/status"; do sleep 0.05; done
run run sh -c :
expect "the directory after its program has ended" "lazyzero.1.$$.1.abcdef lazyzero.other" "$(ls "$work/tmp" | xargs)"
[ "$failures" -eq 0 ]) || failures=$((failures + 1))

# Another version of the layout, which is at offset 8.
run run --stats="$work/stats" sh -c 'printf "\377" | dd of="$LAZYZERO_STATS/lazyzero.$$" bs=1 seek=8 conv=notrunc 2> /dev/null'
rm -rf "$work/stats"
mkdir "$work/stats"
run run --stats="$work/stats" sh -c 'printf "\377" | dd of="$LAZYZERO_STATS/lazyzero.$$" bs=1 seek=8 conv=notrunc 2> /dev/null'
expect_match "another version" 'not included in the summary: lazyzero\.[0-9]*: its layout has another version' "$work/err"

# A run within a run.
run run --summary=json "$LZ_COMMAND" run --summary=json sh -c 'exit 4'
expect "status through two commands" 4 "$status"
expect "two summaries" 2 "$(wc -l < "$work/err" | tr -d ' ')"

# What the program could gain, or that there is nothing.
if compile reader <<'END'; then
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	size_t size = (size_t)512 << 20;
	volatile char *p = calloc(1, size);
	for (size_t i = 0; i < size; i += 4096)
		if (argc > 1 ? (p[i] = 1) != 1 : p[i] != 0)
			return 1;
	usleep(200000);
	return 0;
}
END
	if "$LZ_BUILDDIR/tests/kernel" fact pagemap_scan 2> /dev/null && "$LZ_BUILDDIR/tests/kernel" zero-page 'the verdict of run'; then
		run run --library="$LZ_LIBRARY" --backing=zeropage "$work/reader"
		expect_match "a verdict" '^  verdict      [0-9]*% of what was touched of 512 MiB was only read: on a window$' "$work/err"
		run run --library="$LZ_LIBRARY" --backing=zeropage "$work/reader" written
		expect_match "no gain" '^  verdict      nothing to gain from a window: of what was touched of 512 MiB,$' "$work/err"
	fi
fi
finish
