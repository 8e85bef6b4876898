# `collapse`: real processes over one shared memory (tests/cli/sharer.c), with and without rights, with little room,
# with a kernel that fails, and with programs that change their memory or end meanwhile.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

sharer=${LZ_BUILDDIR:-.}/tests/cli/sharer
root=false
[ "$(id -u)" -ne 0 ] || root=true
chmod 755 "$work" # the command runs there as another user

# start WORDS...: starts the sharer, which may follow other words, in the background and waits for it. Sets $pid, and
# $sharers to it and its children.
start()
{
	: > "$work/shares"
	"$@" > "$work/shares" 2> "$work/sharer.err" &
	pid=$!
	until grep -q . "$work/shares" || ! kill -0 "$pid" 2> /dev/null; do sleep 0.02; done
	sharers="$pid $(cut -s -d ' ' -f 2- "$work/shares")"
	grep -q . "$work/shares"
}

stop()
{
	kill -KILL "$pid"
	wait "$pid" 2> /dev/null
}

# order SIGNAL: has the sharer change its memory.
order()
{
	kill "-$1" "$pid"
	until grep -q "done" "$work/shares"; do sleep 0.02; done
}

# tables: the sum of the page tables of the sharers in KiB.
tables()
{
	# shellcheck disable=SC2086
	for one in $sharers; do sed -n 's/^VmPTE:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$one/status"; done | awk '{ sum += $1 } END { print sum }'
}

# row PATTERN: processes, blocks, huge, dense, sparse and empty blocks of the matching object.
row()
{
	awk -v pattern="$1" '$0 ~ pattern && $2 ~ /^[0-9.]+[BKMG]$/ { print $1, $4, $5, $6, $7, $8 }' "$work/out"
}

# expect_row WHAT ROW [PATTERN]
expect_row()
{
	run collapse --dry-run --tree "$pid"
	expect "$1" "$2" "$(row "${3:-.}")"
}

expect_failure 125 'it takes process IDs, --tree or --cgroup' collapse
expect_failure 125 'it takes process IDs, --tree or --cgroup' collapse --tree=1 1
expect_failure 125 '"12x" is not a process ID' collapse 12x
expect_failure 125 '"0" is not a process ID' collapse --tree 0
expect_failure 125 '--rate: "0" is not accepted: it takes a percentage from 1% to 100%' collapse --rate=0 1
expect_failure 125 '--min-density: "101%" is not accepted' collapse --min-density=101% 1
expect_failure 125 '--file-density: "5x" is not accepted' collapse --file-density=5x 1
sleep 0 &
gone=$!
wait $gone
expect_failure 1 "^lazyzero: $gone: no such process" collapse $gone
expect_failure 1 "^lazyzero: $gone: no such process" collapse --tree=$gone
expect_failure 1 '^lazyzero: /none/such: no process is in this control group' collapse --cgroup=/none/such

run collapse --dry-run $$
case $(cat "$work/err") in
*MADV_COLLAPSE*)
	echo "skipped: collapsing ($(cat "$work/err"))"
	finish
	;;
esac
expect "a process without shared memory" "None of these processes maps large shared memory in small pages." "$(cat "$work/out")"

# --- what is seen and what is done, by kind of memory ---

for kind in anonymous sysv; do
	start "$sharer" $kind 32 75 4
	before=$(tables)
	expect_row "dense $kind memory" "5 16 0 16 0 0"
	expect "--dry-run changes nothing ($kind)" "$before" "$(tables)"
	expect_match "the sum of page tables ($kind)" "^Page tables of 5 processes: $before KiB\.$" "$work/out"
	if $root; then
		# From one process: the other ones are found, and each is counted once.
		run collapse --rate=100 "${sharers##* }"
		expect "status ($kind)" 0 "$status"
		expect_match "all blocks ($kind)" '^Collapsed 16 of 16 blocks in .*, and filled 7\.98 MiB of holes' "$work/out"
		expect_match "page tables before and after ($kind)" "^Page tables of 5 processes: $before KiB before, $(tables) KiB after" "$work/out"
		[ $(($(tables) + 4 * 16 * 4)) -le "$before" ] || fail "page tables of $kind memory: $before KiB before, $(tables) after"
		expect_row "huge $kind memory" "5 16 16 0 0 0"
		run collapse --tree "$pid"
		expect_match "nothing is left to do ($kind)" '^No block is to be collapsed\.$' "$work/out"
	fi
	stop
done

start "$sharer" anonymous 16 40 0
expect_row "sparse memory" "1 8 0 0 8 0"
run collapse --dry-run --min-density=39% "$pid"
expect "a lower density" "1 8 0 8 0 0" "$(row .)"
stop
start "$sharer" anonymous 16 0 0
expect_row "empty memory" "1 8 0 0 0 8"
stop

start "$sharer" anonymous 16 100 1 skew
run collapse --tree "$pid"
expect "memory beside a multiple of 2 MiB" "2 8 0 8 0 0" "$(row .)"
expect_match "it cannot be huge" 'left alone: its address and offset are not congruent' "$work/out"
expect_match "how many processes" 'not aligned in 2 of 2 processes' "$work/out"
expect_match "what helps" "'lazyzero run', which aligns shared memory" "$work/out"
expect_match "nothing is done" '^No block is to be collapsed' "$work/out"
stop

# Somebody decided where the pages of these are.
for pair in lock:mlock nohuge:MADV_NOHUGEPAGE bind:NUMA watch:userfaultfd; do
	if ! start "$sharer" anonymous 16 100 1 "${pair%:*}"; then
		echo "skipped: ${pair#*:} ($(cat "$work/sharer.err"))"
		continue
	fi
	run collapse --tree "$pid"
	expect_match "${pair#*:}" "8 blocks left alone: .*${pair#*:}" "$work/out"
	expect_match "nothing is done (${pair#*:})" '^No block is to be collapsed' "$work/out"
	stop
done

if command -v python3 > /dev/null; then
	start "$sharer" memfd 16 100 2
	run collapse --json --dry-run --tree "$pid"
	python3 - "$work/out" <<'END' || fail "--json"
import json, sys
said = json.load(open(sys.argv[1]))
assert said["dry_run"] and said["planned_blocks"] == 8 and said["processes"] == 3, said
thing, = said["objects"]
assert thing["kind"] == "memfd" and thing["name"] == "/memfd:buffers (deleted)" and thing["bytes"] == 16 << 20, thing
assert thing["blocks"]["dense"] == 8 and thing["aligned_processes"] == 3 and thing["problem"] is None, thing
assert said["page_tables_before_bytes"] == said["page_tables_after_bytes"] > 0, said
END
	stop
fi

if ! $root; then
	echo "skipped: what needs root"
	finish
fi

# taken FILE: the KiB that a file takes.
taken()
{
	echo $(($(stat -L -c %b "$1") / 2))
}

# memfds and files: only what is full, unless asked for.
start "$sharer" memfd 16 100 1
order USR1
run collapse --rate=100 --tree "$pid"
expect "full and punched blocks of a memfd" "2 8 0 4 4 0" "$(row memfd:buffers)"
expect_match "only full ones are collapsed" '^Collapsed 4 of 4 blocks in .*filled 0 B of holes' "$work/out"
expect "holes of a memfd stay" $((16 * 1024 - 16)) "$(taken "/proc/$pid/fd/3")"
run collapse --rate=100 --file-density=90 --tree "$pid"
expect_match "holes are filled on request" '^Collapsed 4 of 4 blocks in .*filled 16\.0 KiB of holes' "$work/out"
expect "the filled memfd" $((16 * 1024)) "$(taken "/proc/$pid/fd/3")"
stop

# --- rights ---

if command -v setpriv > /dev/null; then
	nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'

	# As the same user without any right: only what a descriptor leads to, since that needs no right.
	# shellcheck disable=SC2086
	start $nobody "$sharer" anonymous 16 75 2
	before=$(tables)
	status=0
	timeout 20 $nobody "$LZ_COMMAND" collapse --tree "$pid" > "$work/out" 2> "$work/err" || status=$?
	expect "status without rights" 1 "$status"
	expect "density without rights, by pagemap" "3 8 0 8 0 0" "$(row .)"
	expect "one line says what is missing" "lazyzero: collapsing memory of another process needs CAP_SYS_NICE: run this as root, or start the program under 'lazyzero run', which needs no right" "$(cat "$work/err")"
	expect "nothing is done without rights" "$before" "$(tables)"
	# With CAP_SYS_NICE alone.
	status=0
	timeout 20 $nobody --inh-caps=+sys_nice --ambient-caps=+sys_nice "$LZ_COMMAND" collapse --tree "$pid" > "$work/out" 2> "$work/err" || status=$?
	expect "status with CAP_SYS_NICE" 0 "$status"
	expect_match "with CAP_SYS_NICE" '^Collapsed 8 of 8 blocks' "$work/out"
	# As another user.
	status=0
	timeout 20 setpriv --reuid=65533 --regid=65533 --clear-groups "$LZ_COMMAND" collapse "$pid" > "$work/out" 2> "$work/err" || status=$?
	expect "status as another user" 1 "$status"
	expect_match "as another user" "^lazyzero: $pid: may not be examined: run as its user, or as root" "$work/err"
	stop
	for with in open closed; do
		# shellcheck disable=SC2086
		start $nobody "$sharer" memfd 16 100 2 $with
		status=0
		timeout 20 $nobody "$LZ_COMMAND" collapse --tree "$pid" > "$work/out" 2> "$work/err" || status=$?
		expect "a memfd without rights ($with)" "$([ $with = open ] && echo 'Collapsed 8 of 8' || echo 'Collapsed 0 of 8')" "$(grep -o '^Collapsed [0-9]* of [0-9]*' "$work/out")"
		stop
	done
else
	echo "skipped: rights (no setpriv)"
fi

# --- room ---

# On a small file system nothing is filled, and the last page is still there for another file.
if command -v unshare > /dev/null && unshare -m true 2> /dev/null; then
	for size in 8 256; do
		cat > "$work/on_tmpfs" <<'END'
mount -t tmpfs -o "size=${size}m" tmpfs mounted && cd mounted || exit 99
"$sharer" file 6 60 1 none "$PWD/half" > ../shares &
pid=$!
until grep -q . ../shares; do sleep 0.02; done
before=$(stat -f -c %a .)
"$LZ_COMMAND" collapse --file-density=50 --rate=100 --tree $pid > ../out 2> ../err
echo "status $? taken $((before - $(stat -f -c %a .)))"
kill -KILL $pid
END
		mkdir -p "$work/mounted"
		export sharer size LZ_COMMAND
		: > "$work/shares"
		said=$(unshare -m sh "$work/on_tmpfs")
		if [ $size = 8 ]; then
			expect "a file system of 8 MiB stays as it is" "status 1 taken 0" "$said"
			expect_match "why" '^Left for lack of room: 3 blocks\. 64 MiB' "$work/out"
		else
			expect "a file system with room: 600 of 1,536 pages were missing" "status 0 taken 600" "$said"
			expect_match "all blocks of a file" '^Collapsed 3 of 3 blocks' "$work/out"
			expect_match "the name of a file" ' [^ ]*/half$' "$work/out"
		fi
	done
else
	echo "skipped: a small file system (no mount namespace)"
fi

# A control group without room stays as it is; what is collapsed is charged to the group of the program.
group=
for parent in /sys/fs/cgroup/memory /sys/fs/cgroup; do
	[ -z "$group" ] && [ -d $parent ] && mkdir "$parent/lazyzero-collapse.$$" 2> /dev/null || continue
	group=$parent/lazyzero-collapse.$$
	usage=$group/memory.usage_in_bytes limit=$group/memory.limit_in_bytes
	[ -f "$limit" ] || usage=$group/memory.current limit=$group/memory.max
	[ -f "$limit" ] || { rmdir "$group"; group=; }
done
if [ -n "$group" ]; then
	trap 'kill -KILL "$pid" 2> /dev/null; sleep 0.2; rmdir "$group" 2> /dev/null; rm -rf "$work"' EXIT
	for room in 96 256; do
		echo $((room << 20)) > "$limit"
		start sh -c "echo \$\$ > $group/cgroup.procs; exec \"\$@\"" - "$sharer" anonymous 40 75 1
		before=$(cat "$usage")
		run collapse --rate=100 --cgroup="$group"
		if [ $room = 96 ]; then
			expect "status without room in the control group" 1 "$status"
			expect_match "no room in the control group" '^Left for lack of room: 20 blocks' "$work/out"
			expect "nothing is collapsed" "2 20 0 20 0 0" "$(row .)"
		else
			expect "status with room in the control group" 0 "$status"
			expect_match "room in the control group" '^Collapsed 20 of 20 blocks' "$work/out"
			filled=$((($(cat "$usage") - before) >> 20))
			[ $filled -ge 8 ] && [ $filled -le 12 ] || fail "10 MiB of holes were filled, the control group grew by $filled MiB"
			if command -v setpriv > /dev/null; then
				stop
				start sh -c "echo \$\$ > $group/cgroup.procs; exec \"\$@\"" - "$sharer" memfd 16 100 1
				status=0
				timeout 20 setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice "$LZ_COMMAND" collapse --tree "$pid" > "$work/out" 2> "$work/err" || status=$?
				expect "status without CAP_SYS_NICE in another control group" 1 "$status"
				expect_match "the memory is not moved to our control group" '^Collapsed 0 of 8 blocks' "$work/out"
				expect_match "what is missing" 'needs CAP_SYS_NICE' "$work/err"
			fi
		fi
		stop
	done
	# The children of the sharer end a moment after it.
	tries=0
	until rmdir "$group" 2> /dev/null || [ $tries -gt 100 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	[ ! -d "$group" ] || fail "the control group $group stays"
else
	echo "skipped: a control group without room (none can be made)"
fi

# --- a kernel that fails ---

# FAULTS: the errors of process_madvise in turn, 0 for none; the last one is repeated. Each call is written to $CALLS.
if compile faults.so -shared -fPIC -ldl <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	static const char *faults;
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (next == NULL)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_process_madvise) {
		int fd = open(getenv("CALLS"), O_WRONLY | O_APPEND | O_CREAT, 0600), error;

		if (write(fd, "x", 1) != 1)
			abort();
		close(fd);
		if (faults == NULL)
			faults = getenv("FAULTS");
		error = atoi(faults);
		if (strchr(faults, ' ') != NULL)
			faults = strchr(faults, ' ') + 1;
		if (error != 0) {
			errno = error;
			return -1;
		}
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
END
then
	# with_faults ERRORS: collapses 8 blocks while process_madvise fails so. Sets $calls.
	with_faults()
	{
		start "$sharer" anonymous 16 75 2
		rm -f "$work/calls"
		FAULTS=$1 CALLS=$work/calls LD_PRELOAD=$work/faults.so run collapse --rate=100 --tree "$pid"
		calls=$(wc -c < "$work/calls")
		stop
	}
	# EPERM 1, ESRCH 3, EAGAIN 11, ENOMEM 12, EBUSY 16, EINVAL 22
	with_faults "11 12 16 12 0 16 11 11 16 12 0"
	expect "errors that pass: status" 0 "$status"
	expect_match "errors that pass" '^Collapsed 8 of 8 blocks' "$work/out"
	expect "errors that pass: calls" 17 "$calls"
	for error in 11 16; do
		with_faults $error
		expect "error $error for ever: status" 1 "$status"
		expect_match "error $error for ever" '^Failed three times: 8 blocks' "$work/out"
		expect "error $error for ever: calls" 24 "$calls"
	done
	with_faults 12
	expect "no huge page: status" 1 "$status"
	expect_match "no huge page" '^It ended early: the kernel has no free huge page' "$work/out"
	expect "no huge page: calls" 3 "$calls"
	with_faults 22
	expect "blocks that cannot be collapsed: status" 0 "$status"
	expect_match "blocks that cannot be collapsed" '^Changed before their turn came: 8 blocks' "$work/out"
	expect "blocks that cannot be collapsed: calls" 8 "$calls"
	# The first process ends: the blocks are collapsed through another one.
	with_faults "3 0"
	expect_match "a process that ends" '^Collapsed 8 of 8 blocks' "$work/out"
fi

# --- programs that change meanwhile ---

# begin WORDS...: starts the command at a low rate and halts it when it has begun. go_on: lets it finish.
begin()
{
	"$LZ_COMMAND" collapse --rate=1 "$@" > "$work/out" 2> "$work/err" &
	command=$!
	until grep -q . "$work/out"; do sleep 0.02; done
	sleep 0.3
	kill -STOP $command
}
go_on()
{
	kill -CONT $command 2> /dev/null # it may have ended at a signal
	status=0
	wait $command || status=$?
}

start "$sharer" memfd 32 100 1
begin --tree "$pid"
order USR1
go_on
expect "status with holes made meanwhile" 0 "$status"
expect_match "blocks punched meanwhile" '^Changed before their turn came: 8 blocks' "$work/out"
expect "holes made meanwhile stay" $((32 * 1024 - 32)) "$(taken "/proc/$pid/fd/3")"
stop

start "$sharer" memfd 32 100 1
begin --tree "$pid"
order USR2
go_on
expect "status with a file cut meanwhile" 0 "$status"
expect_match "blocks cut off meanwhile" '^Changed before their turn came: 8 blocks' "$work/out"
expect "the size of the file that was cut" $((16 * 1024)) "$(taken "/proc/$pid/fd/3")"
stop

start "$sharer" anonymous 32 100 1
begin --tree "$pid"
stop
go_on
expect "status when all processes end" 0 "$status"
expect_match "processes that end" '^2 processes ended meanwhile' "$work/out"

# Ctrl-C: the result is still printed.
if command -v env > /dev/null && env --default-signal true 2> /dev/null; then
	start "$sharer" anonymous 32 100 1
	env --default-signal=INT "$LZ_COMMAND" collapse --rate=1 --tree "$pid" > "$work/out" 2> "$work/err" &
	command=$!
	until grep -q . "$work/out"; do sleep 0.02; done
	sleep 0.3
	kill -INT $command
	go_on
	expect "status after Ctrl-C" 130 "$status"
	expect_match "the result after Ctrl-C" '^Collapsed [1-9][0-9]* of 16 blocks' "$work/out"
	expect_match "page tables after Ctrl-C" '^Page tables of 2 processes: .* before' "$work/out"
	stop
fi

# A container has process IDs of its own: here its processes have others.
if command -v unshare > /dev/null && unshare -p -f true 2> /dev/null; then
	start unshare -p -f --kill-child "$sharer" anonymous 16 75 2
	run collapse --rate=100 --tree "$pid"
	expect "processes in another PID namespace" "3 8 0 8 0 0" "$(row .)"
	expect_match "collapsing in another PID namespace" '^Collapsed 8 of 8 blocks' "$work/out"
	stop

	# Within one, a process ID is used again while the command runs. The new process has the same address.
	cat > "$work/reuse" <<'END'
start()
{
	: > shares
	echo 999 > /proc/sys/kernel/ns_last_pid
	setarch -R "$sharer" anonymous 32 100 0 > shares &
	pid=$!
	until [ -s shares ]; do sleep 0.02; done
}
start
first=$pid address=$(cat shares)
"$LZ_COMMAND" collapse --rate=1 $pid > out 2> err &
command=$!
until [ -s out ]; do sleep 0.02; done
sleep 0.3
kill -STOP $command
kill -KILL $pid
wait $pid
start
[ "$first $address" = "$pid $(cat shares)" ] || { echo "no reuse: $first $address, $pid $(cat shares)"; exit; }
kill -CONT $command
wait $command
"$LZ_COMMAND" collapse --dry-run $pid > again
echo reused
END
	said=$(cd "$work" && unshare -p -f --mount-proc --kill-child sh ./reuse 2> /dev/null)
	if [ "$said" = reused ]; then
		expect_match "a process ID that is used again" '^1 process ended meanwhile' "$work/out"
		cp "$work/again" "$work/out"
		expect "the new process is left alone" "1 16 0 16 0 0" "$(row .)"
	else
		fail "the process ID was not used again: $said"
	fi
else
	echo "skipped: PID namespaces (unshare)"
fi

finish
