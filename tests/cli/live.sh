# The figures of running processes: `stat` and `metrics` find every process that the library is active in, without a
# file, and page tables and faults are those of the moment.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"
[ -f "${LZ_LIBRARY:-}" ] || { echo "skipped: no library"; exit 77; }

children=
trap '[ -z "$children" ] || kill $children 2> /dev/null; rm -rf "$work"' EXIT

# A program that asks for memory, touches it on request, and forks on request.
compile holder -D_GNU_SOURCE <<'END' || finish
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	size_t size = (size_t)512 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *block = calloc(1, size);
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc > 1 && *argv[1] == 'f' && fork() == 0)
		for (;;)
			pause();
	printf("ready\n");
	fflush(stdout);
	if (read(0, &byte, 1) != 1 || block == NULL)
		return 1;
	for (size_t at = 0; at < size; at += page)
		(void)block[at];
	printf("touched\n");
	fflush(stdout);
	for (;;)
		pause();
}
END

# await FILE LINE: waits for a line of a program's output.
await()
{
	for _ in $(seq 100); do
		grep -q "^$2\$" "$1" 2> /dev/null && return
		sleep 0.05
	done
	fail "no line '$2' in $1"
}

# value NAME PID: a value in the output of metrics.
value()
{
	sed -n "s/^lazyzero_$1{pid=\"$2\",[^}]*} //p" "$work/out"
}

# is_found HOW PID: metrics and stat show the process and its one region.
is_found()
{
	run metrics
	expect "metrics of a process started by $1" 1 "$(value regions "$2")"
	run stat "$2"
	expect_match "stat of a process started by $1" "^Library in $2 (holder):" "$work/out"
	expect_match "its region by $1" '^  regions  *1, 512M; since the start 1, 512M$' "$work/out"
	expect "standard error of stat by $1" "" "$(cat "$work/err")"
}

# --- found without a file, in each way to start a program ---

mkfifo "$work/touch"
LD_PRELOAD=$LZ_LIBRARY LAZYZERO_THP=never LAZYZERO_BACKING=zeropage "$work/holder" < "$work/touch" > "$work/plain" &
plain=$! children="$children $!"
exec 3> "$work/touch"
await "$work/plain" ready
is_found LD_PRELOAD "$plain"

(eval "$("$LZ_COMMAND" env --library="$LZ_LIBRARY" --thp=never)" && exec "$work/holder" fork < "$work/touch" > "$work/env") &
children="$children $!" parent=$!
await "$work/env" ready
is_found "env" "$parent"
# A forked child that has not called the library has the region, but no totals of its own.
child=$(cat "/proc/$parent/task/$parent/children" 2> /dev/null | tr -d ' ')
if [ -n "$child" ]; then
	children="$children $child"
	run metrics
	expect "the region of a forked child" "1 0" "$(value regions "$child") $(value regions_served_total "$child")"
	expect "page tables of a forked child" "$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$child/status")" "$(value page_tables_bytes "$child")"
else
	echo "skipped: a forked child (no /proc/PID/task/TID/children)"
fi

"$LZ_COMMAND" run --library="$LZ_LIBRARY" --summary=none "$work/holder" < "$work/touch" > "$work/none" &
children="$children $!" none=$!
await "$work/none" ready
is_found "run --summary=none" "$none"

cp "$LZ_LIBRARY" "$work/renamed.so"
LD_PRELOAD=$work/renamed.so "$work/holder" < "$work/touch" > "$work/other" &
children="$children $!" renamed=$!
await "$work/other" ready
is_found "a library of another name" "$renamed"
kill "$renamed"
wait "$renamed" 2> /dev/null

LD_PRELOAD=$LZ_LIBRARY LAZYZERO_DISABLE=1 "$work/holder" < "$work/touch" > "$work/disabled" &
children="$children $!" disabled=$!
await "$work/disabled" ready
run metrics
expect "a process in which the library is disabled" "" "$(value regions $disabled)"
expect_match "the number of processes" '^lazyzero_processes [4-9]' "$work/out"

expect "no file was made" "" "$(find "$work" -name 'lazyzero.*')"

# With a file: the counters are read there, and of a process whose file was removed it is said.
LD_PRELOAD=$LZ_LIBRARY LAZYZERO_STATS=$work/file "$work/holder" fork < "$work/touch" > "$work/filed" &
children="$children $!" filed=$!
await "$work/filed" ready
is_found "LAZYZERO_STATS" "$filed"
child=$(cat "/proc/$filed/task/$filed/children" 2> /dev/null | tr -d ' ')
children="$children $child"
[ -z "$child" ] || expect "a forked child where a file has the parent's counters" 0 "$(run metrics; value regions_served_total "$child")"
rm "$work/file"
run stat "$filed"
expect_match "a file that was removed" "^lazyzero: cannot read the library's counters of $filed (holder, .*No such file.*LAZYZERO_STATS" "$work/err"

# --- gauges are of the moment ---

before=$(run metrics; value page_tables_bytes "$plain")
echo x >&3
await "$work/plain" touched
tables=$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$plain/status")
run metrics
expect "page tables now" "$tables" "$(value page_tables_bytes "$plain")"
[ "$tables" -ge "$((before + 131072 * 7))" ] || [ "$(getconf PAGESIZE)" -ne 4096 ] || fail "no page tables were added: $before, $tables"
expect "the peak is no less" "$tables" "$(value page_tables_peak_bytes "$plain")"
expect "faults now" "$(sed 's/.*) //' "/proc/$plain/stat" | cut -d ' ' -f 8)" "$(value minor_faults_total "$plain")"
run stat -b "$plain"
expect_match "stat: page tables now" "^  actual  *$tables, $tables at the peak\$" "$work/out"

# --- counters that may not be read ---

# Denies process_vm_readv as Yama does (kernel.yama.ptrace_scope).
if compile deny <<'END'; then
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

	if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 77;
	execv(argv[1], argv + 1);
	return 77;
}
END
	status=0
	"$work/deny" "$LZ_COMMAND" stat "$plain" > "$work/out" 2> "$work/err" || status=$?
	if [ "$status" -eq 77 ]; then
		echo "skipped: forbidden reading (no seccomp filter)"
	else
		expect "status of stat where reading is forbidden" 0 "$status"
		expect "one line says so" 1 "$(wc -l < "$work/err" | tr -d ' ')"
		expect_match "the line" "^lazyzero: cannot read the library's counters of $plain (holder, .*Operation not permitted.*from /proc alone" "$work/err"
		expect_match "figures from outside" "^ *$plain .* holder\$" "$work/out"
		expect_no_match "no counters" '^Library in' "$work/out"
		"$work/deny" "$LZ_COMMAND" metrics > "$work/out" 2> "$work/err"
		expect "page tables from outside" "$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$plain/status")" "$(value page_tables_bytes "$plain")"
		expect "no counters in metrics" "" "$(value regions "$plain")"
		expect "one line of metrics" 1 "$(wc -l < "$work/err" | tr -d ' ')"
		"$work/deny" "$LZ_COMMAND" stat $$ > "$work/out" 2> "$work/err"
		expect "nothing is said of processes without the library" "" "$(cat "$work/err")"
	fi
fi

# --- every JSON object says the version of its format ---

if command -v python3 > /dev/null; then
	LD_PRELOAD=$LZ_LIBRARY LAZYZERO_REPORT=$work/report python3 -c 'bytearray(64 << 20)'
	for words in "stat --json" "stat --cgroup --json" "cost --json 1G" "cost --list --json" "doctor --json" \
		"collapse --dry-run --json $plain" "compare --json --runs=1 -- true" "report --json $work/report"; do
		# shellcheck disable=SC2086
		run $words
		[ -s "$work/out" ] || { echo "skipped: $words ($(head -n 1 "$work/err"))"; continue; }
		python3 -c 'import json, sys
assert list(json.load(open(sys.argv[1])).items())[0] == ("format_version", 1)' "$work/out" || fail "format_version of: $words"
	done
fi

finish
