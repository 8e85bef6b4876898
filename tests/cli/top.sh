# `top` in a terminal of tmux: keys, trees, sizes of the terminal, and the exit.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"
. "${LZ_SRCDIR:-.}/tests/cli/recorded_proc.sh"

# Without a terminal.
status=0
"$LZ_COMMAND" top < /dev/null > "$work/out" 2> "$work/err" || status=$?
expect "status without a terminal" 125 "$status"
expect_match "without a terminal" "^lazyzero: top requires a terminal; 'lazyzero stat' prints" "$work/err"
expect_failure 125 '--interval: "0" is not accepted: it takes seconds' top -d 0
expect_failure 125 '--interval: "nan" is not accepted' top -d nan
expect_failure 125 "unknown column 'tabels'; did you mean 'tables'?" top --sort=tabels
expect_failure 125 "unexpected argument 'x'" top x
expect_failure 125 "--tree cannot be used with --cgroup" top --tree --cgroup

if ! command -v tmux > /dev/null; then
	echo "skipped: the screen (no tmux)"
	finish
fi

# A server with 200 children of 1 MiB of page tables each, and two others.
record_machine
map='400000-402000 rw-p 00000000 00:00 0'
echo "$map" | record_process 10 1 server 500000 20000 9000 2048
for pid in $(seq 100 299); do
	echo "$map" | record_process "$pid" 10 backend 500000 20000 100 1024
done
echo "$map" | record_process 20 1 large 900000 800000 800000 10240
echo "$map" | record_process 30 20 child 100 100 100 40
# A newline and a parenthesis in its name.
printf '30 (child\n) S 9) S 20 1 1 0 -1 4194560 13 0 14 0 0 0 0 0 20 0 1 0 30 0 0\n' > "$tree/proc/30/stat"
sed -i 's/^Name:.*/Name:\tchild\\n) S 9/' "$tree/proc/30/status"

TMUX_TMPDIR=$work
export TMUX_TMPDIR
unset TMUX
servers=0
trap 'tmux -L "lz$servers" kill-server 2> /dev/null; rm -rf "$work"' EXIT

# terminal WIDTH HEIGHT COMMAND: starts a separate tmux server, since a server needs time to exit.
terminal()
{
	tmux -L "lz$servers" kill-server 2> /dev/null
	servers=$((servers + 1))
	tmux -f /dev/null -L "lz$servers" new-session -d -x "$1" -y "$2" "$3"
}

# start WIDTH HEIGHT ARGUMENTS...: a shell that runs top and prints its status.
start()
{
	width=$1 height=$2
	shift 2
	terminal "$width" "$height" \
		"env LC_ALL=C.UTF-8 '$LZ_COMMAND' top $* --sysroot='$tree' '$x86' 2> '$work/err'; echo \"ended with \$?\"; exec sleep 60"
}

capture()
{
	tmux -L "lz$servers" capture-pane -p > "$work/screen" 2> /dev/null
}

# shows WHAT PATTERN: a line of the screen matches within five seconds.
shows()
{
	for _ in $(seq 50); do
		capture
		grep -q -e "$2" "$work/screen" && return
		sleep 0.1
	done
	expect_match "$1" "$2" "$work/screen"
}

key()
{
	tmux -L "lz$servers" send-keys "$@"
}

start 80 24
shows "the line of the machine" '^Page tables of the machine: 10\.0M, 0\.98% of 1\.00G; of this control group: 5\.00M$'
shows "the sum and its peak" '^Of all processes shown: 212M, 212M at the peak since top was started$'
shows "the numbers of processes" '^203 processes, 0 preloaded, 0 partly unreadable; by tables  ▁$'
shows "the column headers" '^    PID USER     VIRTUAL     RSS     PSS  TABLES TOUCHED   RATIO NAME'
shows "the largest process first" '^     20 .* 10\.0M .* large$'
expect "row of the largest process" 20 "$(awk 'NR == 5 { print $1 }' "$work/screen")"
key r
shows "reversed" 'by tables, reversed  '
expect "row of the smallest process" 30 "$(awk 'NR == 5 { print $1 }' "$work/screen")"
shows "a name with a newline on one line" '^     30 .* 40\.0K .* child.x0a) S 9$'
key r
key '<'
shows "sorted by the previous column" 'by pss  '
key '>' '>' '>' '>'
shows "by name" 'by name  '
expect "names in ascending order" backend "$(awk 'NR == 5 { print $NF }' "$work/screen")"
key '>' # round to the first column
shows "from the last column to the first" 'by pid  '
key End
shows "the last process" '^    299 .* backend$'
key Home
shows "the first process" '^     10 .* server$'

# The tree: 2 MiB and 200 times 1 MiB.
key t
shows "the tree" 'by pid, tree sums  '
shows "the sum of the server" '^     10 .*  202M .* server -200$'
shows "a child below its parent, with lines" '^    100 .* 1\.00M .* ├─backend$'
key Space
shows "folded" '^     10 .*  202M .* server +200$'
capture
expect_no_match "its children are not shown" 'backend$' "$work/screen"
shows "another tree" '^     20 .* large -1$'
shows "the last child of a parent" '^     30 .* └─child.x0a) S'
key Space
shows "unfolded" '^     10 .* server -200$'

# Help, on two keys.
for page in h '?'; do
	key "$page"
	shows "help by $page" '^  / .*filter: part of a name'
	key x
	shows "any key leaves it" '^     10 .* server -200$'
done

# A filter in the tree keeps the ancestors; in the list it matches name, user or pid.
key /
key -l child
shows "the filter is shown while it is typed" '^Filter: child_ '
shows "the process that matches" '└─child.x0a) S'
shows "its ancestor" '^     20 .* large -1$'
shows "the sum of those that match" '^Of 1 processes that match "child": 40\.0K, largest 40\.0K$'
capture
expect_no_match "others are hidden" 'server' "$work/screen"
key BSpace
shows "a character is removed" '^Filter: chil_ '
key q # part of the filter, not the key that quits
shows "nothing matches" '^Of 0 processes that match "chilq"'
key Enter Space Enter Down Up PageDown End
shows "keys on no row" '^Of 0 processes that match "chilq"'
key Escape
shows "without a filter" '^     10 .* server -200$'
key t
key /
key -l 299
key Enter
shows "a filter by process ID" '^    299 .* backend$'
capture
expect "one row" 1 "$(grep -c 'backend$' "$work/screen")"

# One process.
key Enter
shows "the page of a process" '^Process 299: backend$'
shows "its figures" '^  tables  *1\.00M  page tables now (VmPTE)$'
key End PageDown
shows "its mappings, below" '^  *[0-9.]*K for   8\.00K rw-p at 0x400000  *anonymous memory$'
mv "$tree/proc/299" "$tree/proc/gone"
shows "it has ended" '^299 has ended$'
mv "$tree/proc/gone" "$tree/proc/299"
key q
shows "back at the list, with its filter" '^Of 1 processes that match "299"'
key Escape
key t
key Home
shows "unfolded again" '^     10 .* server -200$'

# Control groups, folded at first. A process without one stands for itself.
for pid in $(seq 100 149); do
	echo '0::/a' > "$tree/proc/$pid/cgroup"
done
long=/machine.slice/$(printf '%0200d' 0)/end
for pid in $(seq 150 299); do
	printf '5:memory:%s\n0::/other\n' "$long" > "$tree/proc/$pid/cgroup"
done
key c
shows "by control group" 'by pid, by control group  '
shows "a process without a control group" '^     20 .* 10\.0M .* large$'
shows "a control group" '^      - .* 50\.0M .* /a +50$'
key /
key -l /a
key Enter
shows "a filter by control group" '^Of 50 processes that match "/a": 50\.0M'
shows "the group" '/a +50$'
capture
expect_no_match "other groups are hidden" 'end +150' "$work/screen"
key Enter
shows "Enter unfolds a group" '/a -50$'
key Enter
key Escape
shows "columns that make room for paths" '^    PID     RSS     PSS  TABLES TOUCHED   RATIO NAME'
shows "the end of a long path" '^      - .*  150M .* \.\.0*/end +150$'
key End
key k
key Space
shows "unfolded" '^      - .* 50\.0M .* /a -50$'
key '<' '<'
shows "sorted by ratio" 'by ratio, by control group'
key '>' '>'
key t
shows "from groups to the tree" 'by pid, tree sums  '
key c
shows "and back: still unfolded" '/a -50$'
key c
shows "the list" 'by pid  '
key t
shows "the tree again" '^     10 .* server -200$'
rm "$tree/proc/20/maps"
record_process 20 1 large 900000 800000 800000 40 < /dev/null
shows "the peak remains" '^Of all processes shown: 202M, 212M at the peak since top was started$'
key Home

# Every size in turn; the command keeps running.
for size in 20x5 40x7 200x50 10x3 1x1 80x24; do
	tmux -L "lz$servers" resize-window -x "${size%x*}" -y "${size#*x}"
	case $size in
	20x5) shows "20 columns, 5 lines" '202M server -200' ;;
	40x7) shows "40 columns" '^    PID .*TABLES' ;;
	80x24) shows "back at 80 columns" '^     10 .*  202M .* server -200$' ;;
	*) sleep 0.3 ;;
	esac
	capture
	expect_no_match "no exit at $size" 'ended' "$work/screen"
done
key q
shows "q ends it" '^ended with 0$'
expect "standard error" "" "$(cat "$work/err")"

start 20 5 --tree
shows "started on a small terminal" '202M server -200'
key C-c
shows "Ctrl-C ends it" '^ended with 0$'

start 80 24 --cgroup
shows "started with control groups" 'by tables, by control group'
key q
shows "q ends it" '^ended with 0$'

start 80 24 -o pid,tables,name --sort=name
shows "chosen columns" '^    PID  TABLES NAME'
pid=$(ps -eo pid=,args= 2> /dev/null | awk -v tree="$tree" 'index($0, "top") && index($0, tree) && !/tmux|awk|env|sh -c/ { print $1; exit }')
if [ -n "$pid" ]; then
	kill -TERM "$pid"
	shows "SIGTERM ends it" '^ended with 0$'
fi

# Without UTF-8 the lines are of ASCII.
terminal 80 24 "env LC_ALL=C '$LZ_COMMAND' top --tree --sysroot='$tree' '$x86'; exec sleep 60"
shows "lines of ASCII" '^    1[0-9]* .* |-backend$'

# Ten thousand processes: the first rows and the answers to keys do not wait for all to be read.
if command -v python3 > /dev/null; then
	python3 - "$tree" <<'END'
import os, sys
for pid in range(20000, 30000):
    d = "%s/proc/%d" % (sys.argv[1], pid)
    os.mkdir(d)
    open(d + "/stat", "w").write("%d (p) S 10 1 1 0 -1 0 1 0 2 0 0 0 0 0 20 0 1 0 %d 0 0" % (pid, pid))
    open(d + "/status", "w").write("Name:\tp\nPPid:\t10\nUid:\t0\nVmSize:\t%d kB\nVmRSS:\t5 kB\nVmPTE:\t40 kB\n" % pid)
    open(d + "/maps", "w").write("400000-402000 rw-p 00000000 00:00 0\n")
END
	start 80 24 --tree
	shows "ten thousand processes" '^10203 processes, '
	started=$(date +%s%N)
	key t
	shows "the list of ten thousand" 'by tables  '
	key '?'
	shows "help over ten thousand" '^Keys'
	key q
	key End
	shows "the last of ten thousand" '^  29999 .* p$'
	key /
	key -l 20123
	shows "the filter over ten thousand" '^Of 1 processes that match "20123"'
	key Enter
	took=$((($(date +%s%N) - started) / 1000000))
	[ $took -lt 5000 ] || fail "five keys took $took ms with ten thousand processes"
	key q
	shows "q ends it" '^ended with 0$'
fi

# An unknown terminal (on which ncurses leaks some memory), and a directory that does not exist.
terminal 80 24 "TERM=nonesuch ASAN_OPTIONS=detect_leaks=0 '$LZ_COMMAND' top; echo ended with \$?; exec sleep 60"
shows "an unknown terminal" 'does not support this terminal (TERM is "nonesuch")'
shows "status with an unknown terminal" 'ended with 125'
terminal 80 24 "'$LZ_COMMAND' top --sysroot=/nowhere; echo ended with \$?; exec sleep 60"
shows "no such directory" 'cannot read /nowhere/proc: No such file'

finish
