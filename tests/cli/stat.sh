# `stat`: figures of recorded machines, columns, sorting, and files that cannot be read.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"
. "${LZ_SRCDIR:-.}/tests/cli/recorded_proc.sh"

record_machine
# 512 GiB of readable memory, 512 GiB of PROT_NONE, and vsyscall above the user address space.
record_process 100 1 reader 1073741824 2048 1024 51200 <<'END'
400000000000-408000000000 r--p 00000000 00:00 0
408000000000-410000000000 ---p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
END
# Two pages in one table, two adjacent mappings of one file, and pages of 2 MiB.
record_process 200 100 'odd ) name' 300000 100000 90000 400 0 <<'END'
00001000-00002000 rw-p 00000000 00:00 0                                  [heap]
00002000-00003000 r--p 00001000 08:01 5                                  /a
40000000-40200000 r--p 00000000 08:01 7                                  /lib/x.so
40200000-40400000 r--p 00200000 08:01 7                                  /lib/x.so
80000000-c0000000 rw-p 00000000 00:0f 9                                  /anon_hugepage (deleted)
END
printf '80000000-c0000000 rw-p 00000000 00:0f 9 /anon_hugepage (deleted)\nSize: 1048576 kB\nKernelPageSize:     2048 kB\n' \
	> "$tree/proc/200/smaps"
mkdir -p "$tree/proc/2" "$tree/proc/300" "$tree/proc/irq"
cp "$tree/proc/100/stat" "$tree/proc/2/stat"
printf 'Name:\tkthreadd\nPPid:\t0\nUid:\t0\t0\t0\t0\nThreads:\t1\n' > "$tree/proc/2/status"

# tree_stat ARGUMENTS...: `stat` of the recorded tree.
tree_stat()
{
	run stat --sysroot="$tree" "$x86" "$@"
}

tree_stat
expect "status" 0 "$status"
expect "standard error" "" "$(cat "$work/err")"
expect "totals" "Page tables of the machine: 10.0M, 0.98% of 1.00G; of this control group: 5.00M" \
	"$(head -n 1 "$work/out")"
expect "sums" "2 processes: tables 50.4M, largest 50.0M" "$(sed -n 2p "$work/out")"
expect "columns" "PID USER VIRTUAL RSS PSS TABLES TOUCHED RATIO NAME" "$(sed -n 3p "$work/out" | xargs)"
expect "the process with most page tables is first" "100 12345 1.00T 2.00M 1.00M 50.0M 1.00G 2500% reader" \
	"$(sed -n 4p "$work/out" | sed 's/2500\.0%/2500%/' | xargs)"
expect "the number of processes, without a zombie and a kernel thread" 5 "$(wc -l < "$work/out" | tr -d ' ')"
expect "no line is longer than 80 columns" "" "$(grep -E '.{81}' "$work/out")"

# 512 GiB need what `cost` computes; the two pages of 200 share a table, x.so has two, huge pages need none.
model=$("$LZ_COMMAND" cost 512G "$x86" | awk '/in VmPTE/ { bytes = $(NF - 2) } END { print bytes }')
tree_stat -n -b -o touched --sort pid
expect "page tables if touched, in bytes" "$model $((4096 * (1 + 2 + 3 + 1)))" "$(cat "$work/out" | xargs)"

tree_stat --no-headers -o pid --sort=pid
expect "sorted by pid" "100 200" "$(xargs < "$work/out")"
tree_stat --no-headers -opid --sort=pid --reverse
expect "reversed" "200 100" "$(xargs < "$work/out")"
tree_stat --no-headers -o pid --sort=rss
expect "sorted by a column that is not shown" "200 100" "$(xargs < "$work/out")"
tree_stat --no-headers -o pid --sort=name
expect "sorted by name" "200 100" "$(xargs < "$work/out")"
tree_stat --no-headers --units=M -o rss,tables,ratio,mappings,minflt,majflt,ppid,user 200
expect "columns and units" "98 1 0.4% 5 11 12 100 root" "$(head -n 1 "$work/out" | xargs)"
# The kernel escapes newlines and backslashes in status, not in stat.
record_process 400 1 newline 100 100 100 40 0 < /dev/null
printf '400 (a\nb) S 9 c) S 1 1 1 0 -1 4194560 13 0 14 0 0 0 0 0 20 0 1 0 400 0 0\n' > "$tree/proc/400/stat"
sed -i 's/^Name:.*/Name:\ta\\nb) S 9 \\\\c/' "$tree/proc/400/status"
tree_stat --no-headers -o minflt,majflt,name 400
expect "a newline and parentheses in a name" '13 14 a\x0ab) S 9 \c' "$(head -n 1 "$work/out" | sed 's/^ *//; s/  */ /g')"
expect "one line for the process" 1 "$(grep -c 'S 9' "$work/out")"
if command -v python3 > /dev/null; then
	tree_stat --json 400
	python3 -c 'import json, sys
assert json.load(open(sys.argv[1]))["processes"][0]["name"] == "a\nb) S 9 \\c"' "$work/out" || fail "--json of a name with a newline"
fi
rm -r "$tree/proc/400"

run stat --sysroot="$(printf 'no\nwhere')"
expect_match "a newline in a path" "^lazyzero: cannot read no.x0awhere/proc: " "$work/err"

tree_stat --no-headers -o name,budget 200
expect "special characters in names, no library" "odd ) name -" "$(head -n 1 "$work/out" | xargs)"

tree_stat 200
expect_match "huge pages" '^    4\.00K for   1\.00G rw-p at 0x80000000 .* /anon_hugepage (deleted)$' "$work/out"
expect_match "adjacent mappings are merged" '^    12\.0K for   4\.00M r--p at 0x40000000 .* /lib/x\.so$' "$work/out"
tree_stat 100 2
expect "status with a kernel thread" 1 "$status"
expect_match "a kernel thread" '^lazyzero: 2 (kthreadd): has no memory of its own' "$work/err"
expect_match "the other process is shown" ' reader$' "$work/out"
tree_stat 300
expect "status with a pid that does not exist" 1 "$status"
expect_match "a pid that does not exist" '^lazyzero: 300: no such process$' "$work/err"
expect "standard output without a process" "" "$(cat "$work/out")"
echo 'proc /proc proc rw,hidepid=invisible 0 0' > "$tree/proc/self/mounts"
tree_stat 300
expect_match "a process hidden by hidepid" '300: no such process, or hidden by /proc' "$work/err"

if command -v python3 > /dev/null; then
	tree_stat --json --sort pid
	python3 - "$work/out" "$model" <<'END' || fail "--json"
import json, sys
said = json.load(open(sys.argv[1]))
assert said["machine"]["page_tables_bytes"] == 10 << 20 and said["machine"]["cgroup_page_tables_bytes"] == 5 << 20, said
assert said["totals"] == {"processes": 2, "page_tables_bytes": 51600 << 10, "page_tables_largest_bytes": 50 << 20,
                          "preloaded": 0, "preloaded_peaks_sum_bytes": 0}, said
first, second = said["processes"]
assert first["page_tables_if_touched_bytes"] == int(sys.argv[2]) and first["page_tables_to_rss"] == 25, first
assert first["library"] is None and first["largest_mappings"][0]["bytes"] == 512 << 30, first
assert second["name"] == "odd ) name" and second["parent_pid"] == 100 and second["swap_bytes"] == 0, second
END
	tree_stat --json -o pid,name
	python3 -c 'import json, sys
assert set(json.load(open(sys.argv[1]))["processes"][0]) == {"pid", "name", "largest_mappings", "library"}' "$work/out" ||
		fail "--json with chosen columns"

	# Ten thousand processes, and hostile contents of files.
	python3 - "$tree" <<'END'
import os, sys
maps = "".join("%x-%x rw-p 00000000 00:00 0\n" % (a << 21, (a << 21) + 8192) for a in range(1, 20))
for pid in range(1000, 11000):
    d = "%s/proc/%d" % (sys.argv[1], pid)
    os.mkdir(d)
    open(d + "/stat", "w").write("%d (p) S 1 1 1 0 -1 0 1 0 2 0 0 0 0 0 20 0 1 0 %d 0 0" % (pid, pid))
    open(d + "/status", "w").write("Name:\tp\nPPid:\t1\nUid:\t0\nVmSize:\t%d kB\nVmRSS:\t5 kB\nVmPTE:\t40 kB\n" % pid)
    open(d + "/maps", "w").write(maps)
for pid, content in ((20001, b""), (20002, b"\0" * 5000), (20003, os.urandom(5000)), (20004, b"Name:\t" + b"x" * 9000)):
    d = "%s/proc/%d" % (sys.argv[1], pid)
    os.mkdir(d)
    for name in ("stat", "status", "maps", "smaps_rollup"):
        open(d + "/" + name, "wb").write(content)
END
	started=$(date +%s)
	tree_stat --no-headers -o pid,touched
	expect "status with ten thousand processes" 0 "$status"
	expect "the number of rows of ten thousand processes" 10002 "$(wc -l < "$work/out" | tr -d ' ')"
	[ $(($(date +%s) - started)) -lt 15 ] || fail "ten thousand processes took $(($(date +%s) - started)) s"
else
	echo "skipped: JSON and ten thousand processes (no python3)"
fi

# This machine: processes end while they are read; the command itself is shown.
(while [ ! -e "$work/enough" ]; do sh -c :; done) &
for _ in 1 2 3 4 5; do
	run stat
	expect "status of a live machine" 0 "$status"
done
: > "$work/enough"
wait
run stat -n -o pid,name $$
expect "the command itself" "$$" "$(awk 'NR == 1 { print $1 }' "$work/out")"
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
	sleep 60 &
	other=$!
	chmod 755 "$work" # the command runs there as another user
	status=0
	setpriv --reuid=65534 --regid=65534 --clear-groups "$LZ_COMMAND" stat $other > "$work/out" 2> "$work/err" || status=$?
	if [ "$status" -ne 126 ] && [ "$status" -ne 127 ]; then
		expect "status without permission" 0 "$status"
		expect_match "the process and the reason" "^lazyzero: cannot read the mappings of $other (sleep, user root): Permission denied; run as root to see them$" "$work/err"
		expect_match "the readable figures" "^ *$other root .* - .* sleep$" "$work/out"
	fi
	kill $other
	wait $other 2> /dev/null
fi

# The library's counters: of a running process, and from the file of a killed one.
if [ -f "${LZ_LIBRARY:-}" ]; then
	mkdir "$work/stats"
	LAZYZERO_STATS=$work/stats LD_PRELOAD=$LZ_LIBRARY sh -c 'echo $$ > pid; exec sleep 60' &
	until [ -e "$work/stats/lazyzero.$!" ] && [ "$(cat "/proc/$!/comm")" = sleep ]; do sleep 0.05; done
	run stat $!
	expect_match "counters of a process" "^Library in $! (sleep):" "$work/out"
	run stat -n --stats="$work/stats"
	expect_match "counters of a file" " sleep$" "$work/out"
	kill -9 $!
	wait $! 2> /dev/null
	run stat -n --stats="$work/stats"
	expect_match "a killed process" " sleep (gone)$" "$work/out"
	LAZYZERO_STATS=$work/stats LD_PRELOAD=$LZ_LIBRARY cat < /dev/null
	echo short > "$work/stats/lazyzero.1"
	run stat -n --stats="$work/stats"
	expect_match "a process that exited" " cat (exited)$" "$work/out"
	run stat --stats="$work/stats"
	expect_match "the sum of peaks of files" '^2 processes; 2 preloaded: sum of peaks [0-9.]*K$' "$work/out"
	expect_match "a file that is not a statistics file" '^lazyzero: lazyzero\.1: it is too short$' "$work/err"
fi

expect_failure 125 "cannot read '/nowhere': No such file" stat --stats=/nowhere
# A FIFO in a recorded tree does not block the command.
mkdir -p "$work/pipes/proc/12"
mkfifo "$work/pipes/proc/12/maps" "$work/pipes/proc/12/status" "$work/pipes/proc/meminfo"
run stat --sysroot="$work/pipes" --all
[ "$status" -ne 124 ] || fail "it blocks on a FIFO"
expect_failure 125 'cannot read /nowhere/proc: No such file' stat --sysroot=/nowhere
expect_failure 125 '"12x" is not a process ID' stat 12x
expect_failure 125 '"0" is not a process ID' stat 0
expect_failure 125 '"99999999999" is not a process ID' stat 99999999999
expect_failure 125 "unknown column 'tabels'; did you mean 'tables'?" stat -o tabels
expect_failure 125 "unknown column 'zzzzzzzzz'" stat --sort=zzzzzzzzz
expect_failure 125 "no column given" stat -o ''
expect_failure 125 "at most 32 columns" stat -o "$(printf 'pid,%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33)"
expect_failure 125 '--units: "T" is not accepted' stat --units=T
expect_failure 125 "unknown geometry 'vax'" stat --geometry=vax
expect_failure 125 "--all takes no process ID" stat --all 1
expect_failure 125 "unknown option '-x'" stat -x

finish
