# `run --record` and `plot`: the contents of a record; pictures of valid, truncated and hostile records.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

run run --record="$work/run.jsonl" sh -c 'sleep 0.3; sh -c "sleep 0.3; :"; :'
expect "status" 0 "$status"
expect_match "the summary is printed as well" 'exited with status 0' "$work/err"
expect_match "the first line" '^{"lazyzero_record":1,"program":\["sh","-c",' "$work/run.jsonl"
expect_match "the last line" '^{"end":[0-9.]*,"exit_status":0,"signal":null}$' "$work/run.jsonl"
expect_match "a child" '"name":"sleep"' "$work/run.jsonl"
run run --record="$work/killed.jsonl" sh -c 'kill -9 $$'
expect_match "a signal" '"exit_status":null,"signal":9}$' "$work/killed.jsonl"
run run --record="$work/named.jsonl" sh -c 'printf "a\nb) S 1" > /proc/self/comm; sleep 0.3; :'
expect_match "a newline and a parenthesis in a name" '"name":"a\\nb) S 1"' "$work/named.jsonl"
expect_failure 125 "cannot write the record '/nowhere/x': No such file" run --record=/nowhere/x true
expect_failure 125 "record cannot be used with --summary=none" run --record="$work/x" --summary=none true
if [ -w /dev/full ]; then
	run run --record=/dev/full sh -c 'exit 3'
	expect "status with a full disk" 3 "$status"
	expect "one warning" 1 "$(grep -c "warning: cannot write the rest of the record '/dev/full': No space" "$work/err")"
fi

if command -v python3 > /dev/null; then
	if compile grower <<'END'; then
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	size_t size = 48 << 20;
	char *block = malloc(size);
	if (!block)
		return 1;
	if (fork() == 0) {
		memset(block, 1, size);
		usleep(400000);
		_exit(0);
	}
	memset(block, 1, size);
	wait(NULL);
	return 0;
}
END
		run run --record="$work/two.jsonl" "$work/grower"
		python3 - "$work/two.jsonl" <<'END' || fail "figures of two processes"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
samples = [line for line in lines if "processes" in line]
assert len(samples) >= 5 and all(a["t"] < b["t"] for a, b in zip(samples, samples[1:])), samples
most = max(samples, key=lambda sample: sum(p["pss"] for p in sample["processes"]))
assert len(most["processes"]) == 2 and len({p["pid"] for p in most["processes"]}) == 2, most
assert 90 << 20 <= sum(p["pss"] for p in most["processes"]) < 120 << 20, most
assert sum(p["tables"] for p in most["processes"]) >= 2 * (48 << 20) // 512, most
assert all(p["rss"] >= 48 << 20 and p["minflt"] > 0 for p in most["processes"]), most
END
	fi
fi

# More children than fit in 4,000 bytes of /proc/PID/task/TID/children.
if [ "$(ulimit -u)" = unlimited ] || [ "$(ulimit -u)" -gt 3000 ]; then
	if compile crowd <<'END'; then
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	int end[2];
	char byte;
	if (pipe(end) != 0)
		return 1;
	for (int i = 0; i < 1100; i++)
		if (fork() == 0) {
			close(end[1]);
			(void)!read(end[0], &byte, 1);
			_exit(0);
		}
	sleep(6);
	close(end[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
END
		run run --record="$work/crowd.jsonl" "$work/crowd"
		seen=$(grep '^{"t"' "$work/crowd.jsonl" | awk -F '"pid"' 'NF > most { most = NF } END { print most - 1 }')
		[ "$seen" -gt 1000 ] || {
			fail "1,101 processes, of which the largest sample has $seen; status $status"
			free -m
		}
	fi
else
	echo "skipped: 1,100 children (ulimit -u)"
fi

# The progress line, which is shown only on a terminal.
if command -v script > /dev/null; then
	script -qec "'$LZ_COMMAND' run --record='$work/long.jsonl' sleep 2.6" /dev/null < /dev/null > "$work/screen" 2>&1
	expect_match "progress" '[23] s  page tables [0-9.]* KiB  PSS [0-9.]* [KM]iB  1 process' "$work/screen"
	script -qec "'$LZ_COMMAND' run --no-progress --record='$work/long.jsonl' sleep 2.6" /dev/null < /dev/null > "$work/screen" 2>&1
	expect_no_match "no progress" 'page tables [0-9.]* KiB  PSS' "$work/screen"
fi

expect_failure 125 "no record given" plot
expect_failure 125 "unexpected argument 'b'" plot a b
expect_failure 125 "cannot read '/nowhere': No such file" plot /nowhere
expect_failure 125 "the name must end in .svg or .png" plot "$work/run.jsonl" -o "$work/x.pdf"
mkdir "$work/empty"
status=0
PATH=$work/empty "$LZ_COMMAND" plot "$work/run.jsonl" > "$work/out" 2> "$work/err" || status=$?
expect "status without gnuplot" 125 "$status"
expect_match "without gnuplot" 'gnuplot is not installed; install it' "$work/err"
[ ! -e "$work/run.jsonl.svg" ] || fail "a picture without gnuplot"

# Files that are not records.
: > "$work/none"
expect_failure 125 "none' is empty" plot "$work/none"
head -n 1 "$work/run.jsonl" > "$work/none"
expect_failure 125 "contains no sample" plot "$work/none"
expect_failure 125 "has a line longer than 64.0 MiB" plot /dev/zero
echo '{"lazyzero_record":7}' > "$work/none"
expect_failure 125 "is a record of version 7; this command reads version 1" plot "$work/none"
for text in '' '{' '[]' '{"lazyzero_record":"1"}' '{"t":1}' 'null' '[[[[[[[['; do
	echo "$text" > "$work/none"
	expect_failure 125 "is not a record" plot "$work/none"
done

if ! command -v gnuplot > /dev/null; then
	echo "skipped: pictures (no gnuplot)"
	finish
fi
(cd "$work" && run plot run.jsonl)
expect "standard error" "" "$(cat "$work/out" "$work/err")"
expect_match "the default name of the picture" '</svg>' "$work/run.jsonl.svg"
for title in 'address space' RSS PSS 'page tables' 'minor faults/s' seconds; do
	expect_match "a curve or axis: $title" ">$title<" "$work/run.jsonl.svg"
done
run plot "$work/run.jsonl" -o "$work/picture.png"
expect "a PNG picture" PNG "$(head -c 4 "$work/picture.png" | tail -c 3)"
expect "no temporary file remains" picture.png "$(cd "$work" && echo picture*)"
# A program that ends at once has one sample and no fault rate, or not even a size.
head -n 2 "$work/run.jsonl" > "$work/short"
run plot "$work/short" -o "$work/short.svg"
expect "status with one sample" 0 "$status"
(head -n 1 "$work/run.jsonl"; echo '{"t":0.1,"processes":[]}') > "$work/short"
run plot "$work/short" -o "$work/short.svg"
expect "status with no size" 0 "$status"

# A truncated record is drawn up to the end of what is there.
size=$(wc -c < "$work/run.jsonl")
for part in 3 5 9; do
	head -c $((size * part / 10)) "$work/run.jsonl" > "$work/cut"
	run plot "$work/cut" -o "$work/cut.svg"
	expect "status of $part tenths" 0 "$status"
done
expect_match "truncated lines are counted" "warning: skipped 1 line of '.*cut' that could not be parsed" "$work/err"

# File names that contain gnuplot commands are not executed.
ln -s "$(command -v sleep)" "$work/a'; system 'touch hacked"
(cd "$work" && run run --record=odd.jsonl "./a'; system 'touch hacked" 0.2)
(cd "$work" && run plot odd.jsonl -o "b'; system 'touch hacked.svg")
expect "status with odd names" 0 "$status"
[ ! -e "$work/hacked" ] || fail "a name was run by gnuplot"

if command -v python3 > /dev/null; then
	cat > "$work/damage.py" <<'END'
import random, sys
random.seed(int(sys.argv[3]))
head, *lines = open(sys.argv[1], "rb").read().splitlines(True)
odd = [b"1e308", b"-5", b"99999999999999999999999", b"null", b"{}", b"[]", b'"x"', b"1e-300", b"\xff", b"true", b"0"]
for i in range(len(lines)):
    line = bytearray(lines[i])
    for _ in range(random.choice((0, 0, 1, 3))):
        at = random.randrange(len(line))
        if random.random() < 0.5:
            line[at] = random.randrange(256)
        else:
            digits = [j for j in range(len(line)) if line[j:j + 1].isdigit()]
            if digits:
                at = random.choice(digits)
                line[at:at + 1] = random.choice(odd)
    lines[i] = bytes(line)
random.random() < 0.3 and random.shuffle(lines)
open(sys.argv[2], "wb").write(head + b"".join(lines))
END
	seed=$(date +%s)
	echo "seed $seed"
	for i in $(seq 8); do
		python3 "$work/damage.py" "$work/run.jsonl" "$work/damaged" $((seed + i))
		run plot "$work/damaged" -o "$work/damaged.svg"
		expect "status of a damaged record, seed $((seed + i))" 0 "$status"
		expect_no_match "output of gnuplot, seed $((seed + i))" 'line [0-9]*:' "$work/err"
	done
fi

finish
