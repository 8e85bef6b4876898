# `metrics`: values and labels, both formats by their own parsers, atomic replacement of files, removal of stale files.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

# The Debian package of the parser is for Debian's python3.
for python in python3 /usr/bin/python3 ''; do
	$python -c 'import prometheus_client.openmetrics.parser' 2> /dev/null && break
done

# check FORMAT FILE [FAMILIES]: parses the file with the parsers that are installed; OpenMetrics has that many families.
check()
{
	if [ "$1" = prometheus ] && command -v promtool > /dev/null; then
		promtool check metrics < "$2" > "$work/promtool" 2>&1 || { fail "promtool: $2"; cat "$work/promtool"; }
		expect "output of promtool" "" "$(cat "$work/promtool")"
	elif [ "$1" = prometheus ] && [ -n "$python" ]; then
		# As node_exporter does, it rejects two samples of the same name and labels.
		$python -c 'import sys
from prometheus_client.parser import text_string_to_metric_families as parse
seen = set()
for family in parse(open(sys.argv[1]).read()):
    assert family.documentation and family.type in ("gauge", "counter"), family
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, key
        seen.add(key)
assert seen' "$2" || fail "Prometheus: $2"
	elif [ "$1" = prometheus ]; then
		echo "skipped: promtool (package prometheus)"
	elif [ -n "$python" ]; then
		$python -c 'import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
assert len(list(parse(open(sys.argv[1]).read()))) == int(sys.argv[2])' "$2" "${3:-30}" || fail "OpenMetrics: $2"
	else
		echo "skipped: OpenMetrics (no python3 prometheus_client)"
	fi
}

run metrics
expect "status" 0 "$status"
expect_match "the number of processes" '^lazyzero_processes [0-9]*$' "$work/out"
expect "the end marker" '# EOF' "$(tail -n 1 "$work/out")"
check prometheus "$work/out"

if command -v python3 > /dev/null; then
	mkdir "$work/stats"
	WIRE_H=${LZ_SRCDIR:-.}/include/lazyzero/wire.h PYTHONPATH=${LZ_SRCDIR:-.}/tests/cli PYTHONDONTWRITEBYTECODE=1
	export WIRE_H PYTHONPATH PYTHONDONTWRITEBYTECODE
	cat > "$work/make.py" <<'END'
import sys
from stats_file import *
directory, pid, start, executable = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode("utf-8", "surrogateescape")
numbers = (UNKNOWN, 11, 12, 13, UNKNOWN, 14, 15, 16, 17, 18, 19, 20, 21, 22)
write(directory, pid, wire(pid=pid, start=start, executable=executable, numbers=numbers))
END
	# A live process, and an earlier one with the same pid.
	sleep 60 &
	sleeper=$!
	start=$(sed 's/.*) //' "/proc/$sleeper/stat" | cut -d ' ' -f 20)
	name=$(printf 'a"b\\c\n\377d')
	python3 "$work/make.py" "$work/stats" "$sleeper" "$start" "$name"
	python3 "$work/make.py" "$work/stats" $$ 1 before
	echo none > "$work/stats/lazyzero.1"
	: > "$work/stats/other"
	for form in prometheus openmetrics; do
		run metrics --stats="$work/stats" --format=$form
		expect "status of $form" 0 "$status"
		check $form "$work/out"
		expect "gauge in $form" "lazyzero_committed_bytes{pid=\"$sleeper\",executable=\"a\\\"b\\\\c\\\\x0a\\\\xffd\"} 11" \
			"$(grep '^lazyzero_committed_bytes' "$work/out")"
		expect_match "counter in $form" '^lazyzero_refused_total{.*} 21$' "$work/out"
		expect "page tables of now in $form" "$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$sleeper/status")" \
			"$(sed -n 's/^lazyzero_page_tables_peak_bytes{.*} //p' "$work/out")"
		expect_no_match "unknown values are omitted in $form" '^lazyzero_budget_bytes' "$work/out"
		expect_no_match "a process that is gone is omitted in $form" before "$work/out"
		expect "the sum of page tables in $form" "$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$sleeper/status")" \
			"$(sed -n 's/^lazyzero_page_tables_sum_bytes //p' "$work/out")"
		expect_match "one unreadable file" '^lazyzero_unreadable 1$' "$work/out"
	done
	expect_match "the declaration in OpenMetrics" '^# TYPE lazyzero_refused counter$' "$work/out"
	expect "the stale file is removed, others remain" "lazyzero.1 lazyzero.$sleeper other" "$(ls "$work/stats" | xargs)"

	run metrics --stats="$work/stats" -o "$work/lazyzero.prom"
	expect "status with a file" 0 "$status"
	expect "standard output with a file" "" "$(cat "$work/out" "$work/err")"
	expect "mode of the file" "$(umask -S | sed 's/x//g')" "$(stat -c %A "$work/lazyzero.prom" | sed 's/^-\(..\).\(..\).\(..\).$/u=\1,g=\2,o=\3/; s/-//g')"
	expect_match "the file" '^lazyzero_processes 1$' "$work/lazyzero.prom"
	[ ! -w /dev/full ] || expect "no temporary file remains" lazyzero.prom "$(cd "$work" && echo lazyzero.prom*)"
	kill $sleeper
	wait $sleeper 2> /dev/null
	run metrics --stats="$work/stats"
	expect_match "the number of processes after removal" '^lazyzero_processes 0$' "$work/out"
	check prometheus "$work/out"
else
	echo "skipped: statistics files (no python3)"
fi

# Real processes, found by their mapped statistics files.
if [ -f "${LZ_LIBRARY:-}" ]; then
	mkdir "$work/real"
	LAZYZERO_STATS=$work/real LD_PRELOAD=$LZ_LIBRARY sleep 60 &
	until [ -e "$work/real/lazyzero.$!" ] && [ "$(cat "/proc/$!/comm")" = sleep ]; do sleep 0.05; done
	run metrics
	expect_match "a preloaded process" "^lazyzero_regions{pid=\"$!\",executable=\"sleep\"} 0\$" "$work/out"
	check prometheus "$work/out"
	tables=$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$!/status")
	[ "$(sed -n 's/^lazyzero_page_tables_sum_bytes //p' "$work/out")" -ge "${tables:-1}" ] || fail "the sum of VmPTE"
	[ "$(sed -n 's/^lazyzero_page_tables_peaks_sum_bytes //p' "$work/out")" -ge "${tables:-1}" ] || fail "the sum of peaks"
	kill $!
	wait $! 2> /dev/null

	# A newline and a parenthesis in the name of a process, and a newline in the path of its statistics file.
	directory="$work/new
line"
	mkdir "$directory"
	cat > "$work/named" <<'END'
printf 'a\nb) S 1' > /proc/self/comm
echo > "$1"
read -r end < "$2"
END
	mkfifo "$work/end"
	LAZYZERO_STATS=$directory LD_PRELOAD=$LZ_LIBRARY sh "$work/named" "$work/ready" "$work/end" &
	named=$!
	until [ -s "$work/ready" ]; do sleep 0.05; done
	run metrics
	expect_match "a process whose name has a newline" "^lazyzero_regions{pid=\"$named\",executable=\"[a-z]*sh\"} 0\$" "$work/out"
	run stat --no-headers -o pid,regions,name "$named"
	expect "stat of a process whose name has a newline" "$named 0 a\\x0ab) S 1" "$(head -n 1 "$work/out" | xargs -d '\n' | sed 's/^ *//; s/  */ /g')"
	for path in "$directory" "$directory/lazyzero.$named"; do
		run metrics --stats="$path"
		expect_match "its statistics file" '^lazyzero_processes 1$' "$work/out"
		[ -e "$directory/lazyzero.$named" ] || fail "the statistics file of a live process was removed"
	done
	# Where /proc does not show the process, nothing says that it is gone.
	if unshare -m mount -t tmpfs none /proc 2> /dev/null; then
		unshare -m sh -c 'mount -t tmpfs none /proc && exec "$1" metrics --stats="$2"' - "$LZ_COMMAND" "$directory" > "$work/out" 2> "$work/err"
		[ -e "$directory/lazyzero.$named" ] || fail "the statistics file of a live process was removed without /proc"
	fi
	echo > "$work/end"
	wait $named
	run metrics --stats="$directory"
	expect "the statistics file after the end of the process" "" "$(ls "$directory")"
fi

if unshare -m mount -t tmpfs none /proc 2> /dev/null; then
	unshare -m sh -c 'mount -t tmpfs none /proc && exec "$1" metrics' - "$LZ_COMMAND" > "$work/out" 2> "$work/err"
	expect "status without /proc" 125 $?
	expect_match "message without /proc" 'no process in /proc: it is not mounted' "$work/err"
	expect_no_match "no values without /proc" lazyzero_ "$work/out"
	unshare -m sh -c 'mount -t tmpfs none /proc && exec "$1" doctor' - "$LZ_COMMAND" > "$work/out" 2>&1
	expect_match "doctor without /proc" 'overcommit  *unknown mode' "$work/out"
fi

# Every process.
sleep 60 &
sleeper=$!
until [ "$(cat "/proc/$sleeper/comm")" = sleep ]; do sleep 0.05; done
for form in prometheus openmetrics; do
	run metrics --all --format=$form
	expect "status of --all in $form" 0 "$status"
	check $form "$work/out" 46
	expect "a process without the library in $form" "$(awk '/^VmPTE:/ { print $2 * 1024 }' "/proc/$sleeper/status")" \
		"$(sed -n "s/^lazyzero_process_page_tables_bytes{pid=\"$sleeper\",name=\"sleep\",user=\"$(id -un)\"} //p" "$work/out")"
	expect_match "its faults in $form" "^lazyzero_process_minor_faults_total{pid=\"$sleeper\",.*} [1-9]" "$work/out"
done
expect "ten values" 10 "$(grep -c "^lazyzero_process_.*{pid=\"$sleeper\"," "$work/out")"
kill $sleeper
wait $sleeper 2> /dev/null
expect_failure 125 "--all cannot be used with --stats" metrics --all --stats="$work"

# Sums for each control group.
if [ -r /proc/self/cgroup ] && "$LZ_COMMAND" stat --cgroup > /dev/null 2>&1; then
	for form in prometheus openmetrics; do
		run metrics --cgroup --format=$form
		check $form "$work/out" 36
		expect_match "processes of a control group in $form" '^lazyzero_cgroup_processes{cgroup="/.*"} [1-9]' "$work/out"
		expect_match "its page tables in $form" '^lazyzero_cgroup_page_tables_bytes{cgroup="/.*"} [1-9]' "$work/out"
	done
	# Names of groups that would be the same label if their bytes were only escaped, and a long one.
	parent=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
	parent=${parent:-$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)}/lazyzero-test-$$
	if mkdir "$parent" 2> /dev/null; then
		odd=$(printf 'a\001"b\\c')
		for name in "$odd" 'a\x01"b\c' "$(printf '%0200d' 1)"; do
			mkdir "$parent/$name"
			sh -c 'echo $$ > "$1" && exec sleep 60' - "$parent/$name/cgroup.procs" &
			sleepers="${sleepers:-} $!"
			until [ "$(cat "/proc/$!/comm")" = sleep ]; do sleep 0.05; done
		done
		run metrics --cgroup
		check prometheus "$work/out"
		sed -n 's/^lazyzero_cgroup_processes{cgroup="\(.*\)"} 1$/\1/p' "$work/out" | grep 'lazyzero-test' | sed 's|.*-test-[0-9]*/||' > "$work/labels"
		expect_match "the label of odd bytes" '^a\\\\x01\\"b\\\\x5cc$' "$work/labels"
		expect_match "the label of quotes and backslashes" '^a\\\\x01\\"b\\\\c$' "$work/labels"
		expect_match "the label of a long path" '^0*1$' "$work/labels"
		expect "the first character of a label with odd bytes" 1 "$(grep -c 'cgroup_processes{cgroup="\\\\x2f' "$work/out")"
		# shellcheck disable=SC2086
		kill $sleepers
		wait
		rmdir "$parent"/*/ "$parent"
	else
		echo "skipped: names of control groups (not allowed to make any)"
	fi
fi

expect_failure 125 "cannot read '/nowhere': No such file" metrics --stats=/nowhere
expect_failure 125 "cannot write '/nowhere/x': No such file" metrics -o /nowhere/x
# A device is written to, not replaced; tested with a device node of the test.
if mknod "$work/full" c 1 7 2> /dev/null && [ -w "$work/full" ]; then
	expect_failure 125 "full': No space left on device" metrics -o "$work/full"
	[ -c "$work/full" ] || fail "a device was replaced"
fi
echo old > "$work/target"
ln -s target "$work/link"
run metrics -o "$work/link"
[ -L "$work/link" ] || fail "a link was replaced"
expect_match "the target of a link" '^lazyzero_processes' "$work/target"
expect_failure 125 '--format: "json" is not accepted' metrics --format=json
expect_failure 125 "unexpected argument 'x'" metrics x

finish
