# `stat --cgroup`: recorded machines with control groups of version 2, version 1 and both, and this machine.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"
. "${LZ_SRCDIR:-.}/tests/cli/recorded_proc.sh"

# member PID TABLES LINE...: a process with page tables of so many kB, and the lines of its /proc/PID/cgroup.
member()
{
	record_process "$1" 1 "p$1" 1000 100 100 "$2" < /dev/null
	shift 2
	printf '%s\n' "$@" > "$directory/cgroup"
}

groups()
{
	run stat --sysroot="$tree" --cgroup
}

# rows: the rows of the last table, without repeated spaces.
rows()
{
	sed '/^$/,$d' "$work/out" | sed -n '/^PROCS/,$p' | sed 1d | sed 's/^ *//; s/  */ /g'
}

# Version 2: limits of a group above, a group without the memory controller, one that is gone.
record_machine
long=/system.slice/docker-$(printf '%064d' 7).scope
member 10 1024 '0::/app'
member 11 2048 '0::/app'
member 12 512 "0::$long"
member 13 8 '0::/user.slice/plain'
member 14 4 '0::/gone (deleted)'
member 15 16 '0::/'
record_process 16 1 grouped 1000 100 100 4096 < /dev/null # without control groups, so that it is in none
record_group /sys/fs/cgroup/app memory.max=max memory.current=4194304 'memory.stat=anon 5\npagetables 3145728\nsec_pagetables 8192'
record_group /sys/fs/cgroup/system.slice memory.max=67108864
record_group "/sys/fs/cgroup$long" memory.max=134217728 memory.current=1048576 'memory.stat=anon 5\npagetables 520192'
record_group /sys/fs/cgroup/user.slice memory.max=1073741824
record_group /sys/fs/cgroup/user.slice/plain cgroup.procs=13
record_group /sys/fs/cgroup 'memory.stat=pagetables 10485760\nsec_pagetables 8192'
groups
expect "status" 0 "$status"
expect "standard error" "" "$(cat "$work/err")"
expect "the sum" "6 processes in 5 control groups: tables 3.53M" "$(sed -n 2p "$work/out")"
expect "the groups" "\
2 3.00M 3.00M 8.00K 4.00M max /app
1 512K 508K - 1.00M 64.0M ..000000000000000000000007.scope
1 16.0K 10.0M 8.00K - max /
1 8.00K - - - 1.00G /user.slice/plain
1 4.00K - - - - /gone (deleted)" "$(rows)"
expect "the columns are aligned" "PROCS  TABLES CHARGED SECONDARY   USAGE   LIMIT CGROUP
    2   3.00M   3.00M     8.00K   4.00M     max /app" "$(sed -n 3,4p "$work/out")"
expect_match "why there is no SECONDARY" '^No SECONDARY: Linux counts it since 6\.1' "$work/out"
expect_match "why there is no USAGE" '^No USAGE: the root group has none' "$work/out"
expect_match "why there is no LIMIT" '^No LIMIT: 1 group cannot be read' "$work/out"
expect_no_match "version 1" 'version 1' "$work/out"
expect "no line is longer than 80 columns" "" "$(grep -E '.{81}' "$work/out")"
run stat --sysroot="$tree" --cgroup -n -b --reverse
expect "reversed, in bytes, without headers" "1 4096 - - - - /gone (deleted)" "$(head -n 1 "$work/out" | sed 's/^ *//; s/  */ /g')"
expect "the number of rows" 5 "$(wc -l < "$work/out" | tr -d ' ')"

# One group and those below it, by its path or its directory.
for path in /user.slice user.slice/ /user.slice/plain /sys/fs/cgroup/user.slice; do
	run stat --sysroot="$tree" --cgroup="$path" -n
	expect "groups below $path" "1 8.00K - - - 1.00G /user.slice/plain" "$(sed 's/^ *//; s/  */ /g' "$work/out")"
done
for path in / /sys/fs/cgroup /sys/fs/cgroup/ ''; do
	run stat --sysroot="$tree" --cgroup="$path" -n
	expect "groups below '$path'" 5 "$(wc -l < "$work/out" | tr -d ' ')"
done
expect_failure 1 '^lazyzero: /ap: no process is in this control group or below it' stat --sysroot="$tree" --cgroup=/ap

if command -v python3 > /dev/null; then
	run stat --sysroot="$tree" --cgroup --json
	python3 - "$work/out" "$long" <<'END' || fail "--json"
import json, sys
said = json.load(open(sys.argv[1]))
assert said["machine"]["page_tables_bytes"] == 10 << 20, said
assert said["cgroups"][:2] == [
    {"path": "/app", "version": 2, "processes": 2, "page_tables_bytes": 3 << 20, "charged_page_tables_bytes": 3 << 20,
     "charged_second_page_tables_bytes": 8192, "memory_usage_bytes": 4 << 20, "memory_limit_bytes": None},
    {"path": sys.argv[2], "version": 2, "processes": 1, "page_tables_bytes": 512 << 10,
     "charged_page_tables_bytes": 508 << 10, "charged_second_page_tables_bytes": None,
     "memory_usage_bytes": 1 << 20, "memory_limit_bytes": 64 << 20}], said
assert len(said["cgroups"]) == 5, said
END
fi

# In a container without a cgroup namespace, only a subtree is mounted.
echo '30 1 0:26 /docker/a /sys/fs/cgroup rw - cgroup2 cgroup2 rw' > "$tree/proc/thread-self/mountinfo"
member 10 1024 '0::/docker/a/app'
member 11 2048 '0::/docker/ab'
groups
expect_match "a group that the mount shows" '^    1   1\.00M   3\.00M .* /docker/a/app$' "$work/out"
expect_match "one that it does not show" '^    1   2\.00M       -         -       -       - /docker/ab$' "$work/out"
run stat --sysroot="$tree" --cgroup=/sys/fs/cgroup/app -n
expect_match "its directory" ' /docker/a/app$' "$work/out"

# Hybrid: the memory controller of version 1, and a hierarchy of version 2 without it.
printf '%s\n' '30 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw' \
	'31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct' \
	'32 1 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory' > "$tree/proc/thread-self/mountinfo"
for pid in 12 13 14 15 16; do
	rm -r "$tree/proc/$pid"
done
member 10 1024 '3:cpu,cpuacct:/x' '2:memory:/v1/a' '1:name=systemd:/y' '0::/z'
member 11 2048 '2:memory:/v1/a' '0::/'
member 12 512 '2:memory:/v1/b' '0::/'
member 13 8 '2:memory:/../cpu' '0::/' # outside of the cgroup namespace
mkdir "$tree/sys/fs/cgroup/cpu"
record_group /sys/fs/cgroup/memory memory.limit_in_bytes=9223372036854771712
record_group /sys/fs/cgroup/memory/v1 memory.limit_in_bytes=67108864
record_group /sys/fs/cgroup/memory/v1/a memory.limit_in_bytes=9223372036854771712 memory.usage_in_bytes=1048576 memory.stat='cache 1'
groups
expect "groups of version 1" "\
2 3.00M - - 1.00M 64.0M /v1/a
1 512K - - - - /v1/b
1 8.00K - - - - /../cpu" "$(rows)"
expect_match "why there is no CHARGED" 'version 1 of control$' "$work/out"
expect_match "why there is no LIMIT" '^No LIMIT: 2 groups cannot be read' "$work/out"
expect_no_match "notes of version 2" 'No USAGE' "$work/out"
rm "$tree/proc/thread-self/mountinfo"
groups
expect_match "without mounts" '^    2   3\.00M       -         -       -       - /v1/a$' "$work/out"
rm "$tree"/proc/*/cgroup
expect_failure 1 'no control groups: no /proc/PID/cgroup names one' stat --sysroot="$tree" --cgroup

# This machine.
run stat --cgroup
case $status in
0)
	expect "no line is longer than 80 columns here" "" "$(grep -E '.{81}' "$work/out")"
	[ "$(rows | awk '{ sum += $1 } END { print sum + 0 }')" -gt 1 ] || fail "processes of this machine"
	parent=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
	if [ -n "$parent" ] && mkdir "$parent/lazyzero-test-$$" 2> /dev/null; then
		here=$parent/lazyzero-test-$$
		echo 67108864 > "$here/memory.limit_in_bytes"
		sh -c 'echo $$ > "$1" && exec sleep 60' - "$here/cgroup.procs" &
		until [ "$(cat "/proc/$!/comm")" = sleep ]; do sleep 0.05; done
		tables=$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$!/status")
		run stat --cgroup="/lazyzero-test-$$" -b -n
		expect "a group of version 1" "1 $tables - - $(cat "$here/memory.usage_in_bytes") 67108864 /lazyzero-test-$$" "$(xargs < "$work/out")"
		run stat --cgroup="$here" -b -n
		expect_match "its directory" " /lazyzero-test-$$\$" "$work/out"
		kill $!
		wait $! 2> /dev/null
		rmdir "$here"
	else
		echo "skipped: a group of version 1 (there is no such hierarchy, or it may not be changed)"
	fi
	;;
*) echo "skipped: this machine ($(cat "$work/err"))" ;;
esac

expect_failure 125 "cannot read /nowhere/proc: No such file" stat --sysroot=/nowhere --cgroup
expect_failure 125 "cgroup takes no process ID; the group is given as --cgroup=PATH" stat --cgroup /app
expect_failure 125 "output cannot be used with --cgroup" stat --cgroup -o pid
expect_failure 125 "sort cannot be used with --cgroup" stat --cgroup --sort=pid
expect_failure 125 "stats cannot be used with --cgroup" stat --cgroup --stats=x
expect_failure 125 "unknown geometry 'vax'" stat --cgroup --geometry=vax
if [ -w /dev/full ]; then
	for words in --cgroup "--cgroup --json"; do
		status=0
		"$LZ_COMMAND" stat $words > /dev/full 2> "$work/err" || status=$?
		expect "status of stat $words on a full disk" 125 "$status"
		status=0
		"$LZ_COMMAND" stat $words >&- 2> "$work/err" || status=$?
		expect "status of stat $words with standard output closed" 125 "$status"
	done
fi

finish
