# `compare`: the order of runs, the figures, contenders that fail, pictures, and Ctrl-C.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

run compare -n 3 -- sh -c 'echo seen; echo said >&2; sleep 0.05'
expect "status" 0 "$status"
expect "standard error without that of the program" "" "$(cat "$work/err")"
expect_no_match "no output of the program" seen "$work/out"
for figure in "time" "minor faults" "peak RSS" "peak PSS" "peak page tables"; do
	expect_match "$figure" "^$figure" "$work/out"
done
expect_match "the ratio of bare is 1" '^  bare  *0\.[0-9]* s  *1\.00  *0\.[0-9]* s  *0\.[0-9]* s$' "$work/out"
expect_match "the row of the library" '^  lazyzero (auto)  *[0-9]' "$work/out"
expect_match "the number of runs" '^3 runs of each contender$' "$work/out"
expect "no line is longer than 80 columns" "" "$(grep -E '.{81}' "$work/out")"

# The contenders take turns, and each round starts with another one.
cat > "$work/turn" <<'END'
#!/bin/sh
echo "${LD_PRELOAD:+lazyzero }${LAZYZERO_BACKING:-}" | sed 's/^$/bare/' >> turns
END
chmod +x "$work/turn"
run compare --runs=2 ./turn
expect "status of ./turn" 0 "$status"
each=$(($(wc -l < "$work/turns") / 2))
expect "the number of bare runs" 2 "$(grep -c bare "$work/turns")"
expect "the first round starts with bare" bare "$(head -n 1 "$work/turns")"
[ "$(sed -n $((each + 1))p "$work/turns")" != bare ] || fail "the second round starts with bare as well"
expect "lazyzero (auto) runs in every round" 2 "$(grep -c 'lazyzero auto' "$work/turns")"

run compare -n 1 --show-output -- sh -c 'echo seen'
expect_match "--show-output" '^seen$' "$work/out"

# A contender with another exit status did not do the same work.
run compare -n 1 -- sh -c 'test -z "$LD_PRELOAD" || exit 3'
expect "status if exit statuses differ" 1 "$status"
expect_match "the contender that differs" '^lazyzero: warning: lazyzero (auto): it exited with status 3$' "$work/err"
run compare -n 1 -- sh -c 'exit 4'
expect "status if all fail alike" 0 "$status"
expect_match "a warning that the program fails" 'warning: the bare program fails (status 4)' "$work/err"
run compare -n 1 --with="$(printf '/nowhere/lib\nx.so')" -- sh -c :
expect_match "a newline in the name of a library" '^lazyzero: warning: lib.x0ax\.so: cannot be preloaded' "$work/err"
expect "no line of another program" "" "$(grep '^x\.so' "$work/out")"
run compare -n 1 --with=/nowhere/libx.so -- sh -c :
expect "status if a library cannot be preloaded" 1 "$status"
expect_match "the library that cannot be preloaded" '^lazyzero: warning: libx\.so: cannot be preloaded' "$work/err"
expect_match "the other contenders ran" '^  lazyzero (auto)' "$work/out"
echo 'int lz_nothing;' > "$work/other.c"
if ${CC:-cc} -shared -fPIC -o "$work/libother.so" "$work/other.c" 2> /dev/null; then
	run compare -n 1 "--with=$work/libother.so" -- sh -c :
	expect "status with another library" 0 "$status"
	expect_match "the row of another library" '^  libother\.so  *[0-9]' "$work/out"
	newline="$work/lib
other.so"
	cp "$work/libother.so" "$newline"
	run compare -n 1 "--with=$newline" -- sh -c :
	expect_match "a newline in the name of a library" '^  lib.x0aother\.so ' "$work/out"
fi

if command -v python3 > /dev/null; then
	if compile writer <<'END'; then
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
	size_t size = 40 << 20;
	char *block = malloc(size);
	if (!block)
		return 1;
	memset(block, 1, size);
	usleep(150000);
	return block[size / 2] != 1;
}
END
		run compare -n 3 --json -- sh -c "$work/writer & $work/writer; wait"
		python3 - "$work/out" <<'END' || fail "figures of two writers"
import json, sys
said = json.load(open(sys.argv[1]))
bare, lazyzero = said["contenders"][:2]
assert bare["name"] == "bare" and bare["problem"] is None and len(bare["runs"]) == 3, bare
assert bare["seconds"]["of_bare"] == 1 and 0.15 <= bare["seconds"]["median"] < 20, bare
for one in (bare, lazyzero):
    assert 40 << 20 <= one["rss_peak_bytes"]["median"] < 60 << 20, one
    assert 70 << 20 <= one["pss_peak_bytes"]["median"] < 100 << 20, one
    assert one["minor_faults"]["median"] > 0 and one["page_tables_peak_bytes"]["median"] > 160 << 10, one
    assert one["seconds"]["least"] <= one["seconds"]["median"] <= one["seconds"]["greatest"], one
END
	fi
	# Interrupted by SIGINT to the process group, as Ctrl-C on a terminal does.
	python3 - "$LZ_COMMAND" "$work/interrupted" <<'END' || fail "Ctrl-C"
import os, signal, subprocess, sys, time
out = open(sys.argv[2], "wb")
child = subprocess.Popen([sys.argv[1], "compare", "-n", "100", "--", "sleep", "0.3"], stdout=out, stderr=out, start_new_session=True)
time.sleep(1.5)
os.killpg(child.pid, signal.SIGINT)
child.wait(10)
END
	expect_match "the completed runs" '^  bare  *0\.3' "$work/interrupted"
	expect_match "the message that runs are missing" '^lazyzero: interrupted' "$work/interrupted"
fi

if command -v gnuplot > /dev/null; then
	run compare -n 1 --svg="$work/picture.svg" -- sh -c :
	expect "status with a picture" 0 "$status"
	expect_match "a picture" '</svg>' "$work/picture.svg"
	expect "no temporary file remains" picture.svg "$(cd "$work" && echo picture*)"
fi
mkdir "$work/empty"
status=0
PATH=$work/empty "$LZ_COMMAND" compare -n 1 --svg="$work/none.svg" -- /bin/true > "$work/out" 2> "$work/err" || status=$?
expect "status without gnuplot" 125 "$status"
expect_match "the message without gnuplot" 'gnuplot is not installed; install it' "$work/err"
expect_match "the table without gnuplot" '^time' "$work/out"
[ ! -e "$work/none.svg" ] || fail "a picture without gnuplot"

expect_failure 127 "cannot run '/nowhere/x'" compare /nowhere/x
expect_failure 126 "cannot run '$work'" compare "$work"
expect_failure 125 "no program given" compare
expect_failure 125 '"0" is not accepted: it takes a number from 1 to 1000' compare -n 0 true
expect_failure 125 '"1001" is not accepted' compare --runs=1001 true
expect_failure 125 'unknown option .--run=3.; did you mean .--runs.' compare --run=3 true
run compare -n 1 --svg=picture.gif -- touch "$work/ran"
expect_match "a picture of an unknown format" 'the name must end in \.svg or \.png' "$work/err"
run compare -n 1 --svg=/nowhere/picture.svg -- touch "$work/ran"
[ ! -e "$work/ran" ] || fail "the program was run although the picture cannot be written"
expect_match "a picture that cannot be written" "cannot write '/nowhere/picture.svg': No such file" "$work/err"

finish
