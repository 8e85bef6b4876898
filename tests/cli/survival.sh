# Reports of programs that do not end by themselves: signals, the out-of-memory killer, _exit, exec, forked workers; and
# of running ones.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

[ -n "$LZ_LIBRARY" ] || { echo "skipped: no library"; exit 77; }
compile dies -g <<'END' || exit 77
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#define M ((size_t)1 << 20)
__attribute__((noinline)) static char *quarter(size_t size)
{
	char *p = calloc(1, size); /* line 10 */
	memset(p, 1, size / 4);
	return p;
}
int main(int argc, char **argv)
{
	int number = atoi(argv[1]);
	char *p = quarter(40 * M);
	free(quarter(80 * M));
	if (strcmp(argv[1], "exit") == 0)
		_exit(5);
	if (strcmp(argv[1], "exec") == 0)
		execlp("sleep", "sleep", "0.1", NULL);
	if (strcmp(argv[1], "workers") == 0)
		for (int i = 0; i < 3; i++)
			if (fork() == 0)
				_exit(quarter(200 * M)[0] != 1);
	while (wait(NULL) > 0)
		;
	if (strcmp(argv[1], "fill") == 0)
		for (size_t i = 0; i < 2000 * M; i += 4096, usleep(i % M == 0 ? 3000 : 0))
			p = i % (40 * M) == 0 ? calloc(1, 40 * M) : p, p[i % (40 * M)] = 1;
	puts("ready");
	fflush(stdout);
	if (argc > 2)
		sleep(20);
	usleep(300000);
	raise(number);
	return 0;
}
END
mkdir "$work/tmp"
export TMPDIR="$work/tmp"
report="report --library=$LZ_LIBRARY --json"

# sites FILE EXPECTED...: the sum over all call sites at the line of calloc: regions made, bytes at the peaks, bytes
# written in MiB; and the reasons of all processes.
sites()
{
	file=$1
	shift
	"${LZ_PYTHON3:-python3}" - "$file" "$@" <<'END' || fail "figures of $file: $*"
import json, sys
path, made, peak, written, *reasons = sys.argv[1:]
report = json.load(open(path))
sites = [s for s in report["sites"] if s["function"] == "quarter" and s["line"] == 10]
M = 1 << 20
found = (sum(s["regions_made"] for s in sites), sum(s["bytes_peak"] for s in sites) // M,
         sum(s["written"] or 0 for s in sites) // M, sorted(p["reason"] for p in report["processes"]))
want = (int(made), int(peak), int(written), sorted(reasons))
assert found == want, f"{found}, expected {want}"
END
}

command -v "${LZ_PYTHON3:-python3}" > /dev/null || { echo "skipped: no python3"; exit 77; }
# Two call stacks: 40 MiB that live, and 80 MiB that were freed.
for signal in INT:2 TERM:15 ABRT:6 SEGV:11 KILL:9 HUP:1; do
	number=${signal#*:}
	run $report -- "$work/dies" "$number"
	expect "status after SIG${signal%:*}" $((128 + number)) "$status"
	grep -v '^ready$' "$work/out" > "$work/json"
	sites "$work/json" 2 120 30 killed
done
run ${report% --json} -- "$work/dies" 9
expect_match "the age of the figures" '^Memory that was live was last looked at [0-9.e-]* s before the end\.$' "$work/out"
expect_match "the headline" '^dies\[[0-9]*\], when it was killed: 2 call sites, 1 region alive$' "$work/out"
run $report -- "$work/dies" exit
expect "status after _exit" 5 "$status"
sites "$work/out" 2 120 30 exit
run $report -- "$work/dies" exec
expect "status after exec" 0 "$status"
sites "$work/out" 2 120 20 exec exit
run $report -- "$work/dies" workers
grep -v '^ready$' "$work/out" > "$work/json"
sites "$work/json" 5 720 180 exit exit exit exit
expect "no file remains" "" "$(ls "$TMPDIR")"

# A signal to the command: one more look, then it is forwarded.
"$LZ_COMMAND" $report -- "$work/dies" 0 stay > "$work/out" 2> "$work/err" &
pid=$!
for i in $(seq 100); do grep -q ready "$work/out" && break; sleep 0.1; done
kill -TERM $pid
wait $pid
expect "status after a signal to the command" 143 $?
grep -v '^ready$' "$work/out" > "$work/json"
sites "$work/json" 2 120 30 killed

# Without the command: the files stay beside the report, and say what is known.
mkdir "$work/reports"
(cd "$work" && LD_PRELOAD=$LZ_LIBRARY LAZYZERO_REPORT=$work/reports ./dies 9 > /dev/null 2>&1) 2> /dev/null
expect "files of a killed program" 2 "$(ls "$work/reports" | wc -l)"
expect "permissions" "-rw------- -rw-------" "$(ls -l "$work/reports" | awk 'NR > 1 { print $1 }' | cut -c 1-10 | xargs)"
run report --json "$work/reports"
sites "$work/out" 2 120 20 killed
run report "$work/reports"
expect_match "why something is not known" '^What was in the live memory of a killed process is not known' "$work/out"
# A running one is looked at now.
LD_PRELOAD=$LZ_LIBRARY LAZYZERO_REPORT=$work/running "$work/dies" 15 stay > "$work/ready" 2> /dev/null &
pid=$!
for i in $(seq 100); do grep -q ready "$work/ready" && break; sleep 0.1; done
run report --json "$work/running"
sites "$work/out" 2 120 30 running
kill -KILL $pid
wait $pid 2> /dev/null
run report --json "$work/running"
sites "$work/out" 2 120 20 killed
# A file that is damaged is named and left out; garbage in it crashes nothing.
mkdir "$work/damaged"
for part in 0 100 4096 1000000; do
	for file in "$work"/running.*.sites; do
		cp "$file" "$work/damaged/lazyzero-report.1.sites"
		: > "$work/damaged/lazyzero-report.1"
		dd if=/dev/urandom of="$work/damaged/lazyzero-report.1.sites" bs=1 seek=$part count=3000 conv=notrunc 2> /dev/null
		run report --json "$work/damaged"
		[ "$status" -lt 126 ] || fail "garbage at $part: status $status"
	done
done
head -c 5000 "$file" > "$work/damaged/lazyzero-report.1.sites"
run report "$work/damaged"
expect_match "a truncated file" "lazyzero-report.1.sites' is not of this version of lazyzero, or incomplete; it is left out" "$work/err"

# A full disk is no SIGBUS: the program ends as it would, and its report is there.
if unshare -m true 2> /dev/null; then
	mkdir "$work/small"
	status=0
	unshare -m sh -c "mount -t tmpfs -o size=1m none '$work/small' && LD_PRELOAD=$LZ_LIBRARY LAZYZERO_REPORT=$work/small \
		'$work/dies' exit 2> '$work/err'; echo \$?; ls '$work/small' | wc -l" > "$work/out"
	expect "status and files on a full disk" "5 1" "$(xargs < "$work/out")"
	expect_match "its message" 'no report if the program is killed: cannot write a file beside LAZYZERO_REPORT=.*No space left' "$work/err"
else
	echo "not tested: a full disk (unshare)"
fi

# As the init process of a PID namespace: signals are forwarded, orphans reaped, the status is 128 plus the signal.
if unshare -p -f true 2> /dev/null; then
	status=0
	timeout 20 unshare -p -f --mount-proc "$LZ_COMMAND" run --library="$LZ_LIBRARY" sh -c \
		'sh -c "sleep 0.2 & :"; sleep 0.6; ps -eo stat= | grep -c "^Z"; kill -KILL $$' > "$work/out" 2> "$work/err" || status=$?
	expect "zombies and status as PID 1" "0 137" "$(xargs < "$work/out") $status"
else
	echo "not tested: PID 1 (unshare)"
fi

# A control group's kill is named.
group=
for parent in /sys/fs/cgroup/memory /sys/fs/cgroup; do
	mkdir "$parent/lazyzero-survival.$$" 2> /dev/null || continue
	group=$parent/lazyzero-survival.$$
	trap 'rmdir "$group" 2> /dev/null; rm -rf "$work"' EXIT
	for limit in memory.limit_in_bytes memory.max; do
		[ ! -f "$group/$limit" ] || echo $((64 << 20)) > "$group/$limit" && break
	done 2> /dev/null
	[ ! -f "$group/memory.swap.max" ] || echo 0 > "$group/memory.swap.max"
	break
done
if [ -n "$group" ] && { [ -f "$group/memory.limit_in_bytes" ] || [ -f "$group/memory.max" ]; }; then
	status=0
	timeout 60 sh -c 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"' - "$group" "$LZ_COMMAND" $report -- "$work/dies" fill \
		> "$work/out" 2> "$work/err" || status=$?
	expect "status after the out-of-memory killer" 137 "$status"
	expect_match "it is named" "dies' was killed by the out-of-memory killer of its control group (64.0 MiB; page tables in the last sample, [0-9.e-]* s before: [0-9.]* KiB)" "$work/err"
	"${LZ_PYTHON3:-python3}" -c 'import json, sys; r = json.load(open(sys.argv[1])); sys.exit(not (r["processes"][0]["reason"] == "killed" and sum(s["written"] or 0 for s in r["sites"]) > 30 << 20))' "$work/out" ||
		fail "figures after the out-of-memory killer"
	timeout 60 sh -c 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"' - "$group" "$LZ_COMMAND" run --library="$LZ_LIBRARY" "$work/dies" fill \
		> "$work/out" 2> "$work/err"
	expect_match "named by run" '^  killed by the out-of-memory killer of its control group (64.0 MiB; ' "$work/err"
else
	echo "not tested: the out-of-memory killer (no control group can be made)"
fi
finish
