# Creates recorded /proc trees for tests. Sourced after lib.sh.
#
# record_process PID PARENT NAME VIRTUAL RSS PSS TABLES [UID]: sizes in kB; maps are read from standard input. Field 22
# of stat, the start time, is the PID, the minor and major faults are 11 and 12.
record_process()
{
	directory=$tree/proc/$1
	mkdir -p "$directory"
	echo "$1 ($3) S $2 1 1 0 -1 4194560 11 0 12 0 0 0 0 0 20 0 1 0 $1 0 0" > "$directory/stat"
	printf 'Name:\t%s\nPid:\t%s\nPPid:\t%s\nUid:\t%s\t0\t0\t0\nVmSize:\t%8s kB\nVmRSS:\t%8s kB\nRssShmem:\t 0 kB\nVmPTE:\t%8s kB\nVmSwap:\t 0 kB\nThreads:\t1\n' \
		"$3" "$1" "$2" "${8:-12345}" "$4" "$5" "$7" > "$directory/status"
	printf '00400000-7fff rw-p 00000000 00:00 0  [rollup]\nRss: %8s kB\nPss: %8s kB\n' "$5" "$6" > "$directory/smaps_rollup"
	cat > "$directory/maps"
}

# A machine of 1 GB, in a control group of version 2.
record_machine()
{
	mkdir -p "$tree/proc/thread-self" "$tree/proc/self" "$tree/sys/fs/cgroup/app"
	printf 'MemTotal: 1048576 kB\nMemAvailable: 524288 kB\nPageTables: 10240 kB\nSecPageTables: 0 kB\n' > "$tree/proc/meminfo"
	echo 'proc /proc proc rw 0 0' > "$tree/proc/self/mounts"
	echo '0::/app' > "$tree/proc/thread-self/cgroup"
	echo '30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw' > "$tree/proc/thread-self/mountinfo"
	printf 'anon 5\npagetables 5242880\nsec_pagetables 7\n' > "$tree/sys/fs/cgroup/app/memory.stat"
}

tree=$work/tree
x86='--geometry=x86-64 4-level'

# record_group DIRECTORY FILE=CONTENT...: the files of a control group, \n is a newline.
record_group()
{
	group=$tree$1
	mkdir -p "$group"
	shift
	for file; do
		printf '%b\n' "${file#*=}" > "$group/${file%%=*}"
	done
}
