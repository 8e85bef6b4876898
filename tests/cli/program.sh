# The warnings of `run` about programs in which the library has no effect or a harmful one.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

# warns STATUS PATTERN PROGRAM...: prints one warning, and the program exits with the status.
warns()
{
	wanted=$1 pattern=$2
	shift 2
	run run --summary=none "$@"
	expect "status of run $*" "$wanted" "$status"
	expect_match "warning about $*" "^lazyzero: warning: $pattern" "$work/err"
	expect "warnings about $*" 1 "$(grep -c '^lazyzero: warning' "$work/err")"
}

quiet()
{
	run run --summary=none "$@"
	expect_no_match "no warning about $*" 'lazyzero: warning' "$work/err"
}

answer='int main(void) { return 5; }'
quiet sh -c :
if echo "$answer" | compile plain; then
	quiet "$work/plain"
	expect "a plain program" 5 "$status"
fi
if echo "$answer" | compile fixed -static; then
	warns 5 "'$work/fixed' is statically linked: the library cannot be loaded" "$work/fixed"
	run run "$work/fixed"
	expect "status of a static program" 5 "$status"
	expect_match "the reason in the summary" '^  the program is statically linked\.$' "$work/err"
	mkdir "$work/bin"
	cp "$work/fixed" "$work/bin/findme"
	mkdir "$work/bin/directory"
	(PATH=$work/bin:$PATH; warns 5 "'findme' is statically linked" findme; exit $failures) || fail "in PATH"
	(cd "$work/bin"; PATH=/nowhere::$PATH; warns 5 "'findme' is" findme; exit $failures) || fail "empty PATH entry"
	for line in "$work/fixed" "  $work/fixed -x" "/usr/bin/env -S $work/fixed -x" "/usr/bin/env -S A=1 $work/fixed"; do
		printf '#!%s\n' "$line" > "$work/script"
		chmod +x "$work/script"
		warns 5 "'$work/script' is run by $work/fixed, which is statically linked" "$work/script"
	done
	printf '#!/usr/bin/env findme\n' > "$work/script"
	(PATH=$work/bin:$PATH; warns 5 "'$work/script' is run by $work/bin/findme, which is" "$work/script"
		exit $failures) || fail "env in a script"
	printf '#!%s\n' "$work/script" > "$work/script2"
	printf '#!%s\n' "$work/fixed" > "$work/script"
	chmod +x "$work/script2"
	warns 5 "'$work/script2' is run by $work/fixed," "$work/script2"
fi
if echo "$answer" | compile position -static-pie; then
	warns 5 "'$work/position' is statically linked" "$work/position"
fi
if echo "$answer" | compile small -m32; then
	warns 5 "'$work/small' is built for 32-bit i386, the library for 64-bit x86-64" "$work/small"
fi
for pair in address:AddressSanitizer thread:ThreadSanitizer leak:LeakSanitizer; do
	if echo "$answer" | compile "san-${pair%:*}" -fsanitize="${pair%:*}"; then
		warns 5 "'$work/san-${pair%:*}' is built with ${pair#*:}: .* run without the library" "$work/san-${pair%:*}"
		run run "$work/san-${pair%:*}"
		expect "status of a program with ${pair#*:}" 5 "$status"
		expect_match "the reason in the summary" "^  the program is built with ${pair#*:}\.\$" "$work/err"
	fi
done
if command -v clang > /dev/null && echo "$answer" > "$work/m.c" &&
	clang -fsanitize=memory -o "$work/m" "$work/m.c" 2> /dev/null; then
	warns 5 "'$work/m' is built with MemorySanitizer: .* run without the library" "$work/m"
fi

# A set-user-ID program of another user.
if [ "$(id -u)" -eq 0 ] && cp "$(command -v env)" "$work/rights" && chown 65534:65534 "$work/rights"; then
	chmod 4755 "$work/rights"
	if findmnt -no OPTIONS -T "$work" 2> /dev/null | grep -q nosuid || grep -q 'NoNewPrivs:.*1' /proc/self/status; then
		quiet "$work/rights"
	else
		warns 0 "'$work/rights' is set-user-ID: the dynamic loader ignores LD_PRELOAD" "$work/rights"
		run run "$work/rights"
		expect_match "the reason in the summary" '^  the program is set-user-ID\.$' "$work/err"
		chmod 2755 "$work/rights"
		warns 0 "'$work/rights' is set-group-ID" "$work/rights"
	fi
	chown 0:0 "$work/rights"
	chmod 4755 "$work/rights"
	quiet "$work/rights" # root gains nothing by it
else
	echo "skipped: set-user-ID (not root)"
fi

# Damaged and hostile files: no crash.
program=$(readlink -f "$(command -v env)")
for length in 1 4 15 16 17 20 40 63 64 65 100 119 120 500 1000 4096; do
	head -c $length "$program" > "$work/cut"
	chmod +x "$work/cut"
	# Given as the library, which is inspected but not loaded. As a program, a shell would run what is not an ELF file.
	run env --library="$work/cut"
	case $status in
	0 | 125) ;;
	*) fail "cut to $length bytes: status $status: $(cat "$work/err")" ;;
	esac
done
if command -v python3 > /dev/null; then
	cat > "$work/hostile.py" <<'END'
# Overwrites each header field with values that point outside the file. The machine is one unknown to the kernel, so
# that it does not execute the file; the command checks the machine last.
import os, random, struct, subprocess, sys
command, program, path = sys.argv[1:]
good = open(program, "rb").read()[:60000]
random.seed(1)
count = struct.unpack_from("<H", good, 56)[0]
offsets = [(32, 8), (54, 2), (56, 2)] + [(64 + 56 * i + at, size) for i in range(count)
	for at, size in ((0, 4), (8, 8), (16, 8), (32, 8), (40, 8))]
values = (0, 1, 0xffff, 0x7fffffff, 0x7fffffffffffffff, 0xffffffffffffffff, len(good) - 1, len(good), 0xfffffffffffffff8)
cases = [bytes(good)]
for offset, size in offsets:
	for value in values:
		case = bytearray(good)
		case[offset:offset + size] = value.to_bytes(8, "little")[:size]
		cases.append(bytes(case))
for _ in range(100):
	case = bytearray(good)
	for _ in range(20):
		case[random.randrange(16, 2000)] = random.randrange(256)
	cases.append(bytes(case))
random.shuffle(cases)
for case in cases[:300]:
	with open(path, "wb") as file:
		file.write(case)
	# Given as the library, which is inspected but not loaded.
	run = subprocess.run([command, "env", "--library=" + path], capture_output=True)
	assert run.returncode in (0, 125), (run.returncode, run.stderr)
END
	python3 "$work/hostile.py" "$LZ_COMMAND" "$program" "$work/hostile" || fail "hostile ELF files"
fi

# Files that are not programs.
mkfifo "$work/fifo"
chmod +x "$work/fifo"
expect_failure 126 "Permission denied" run "$work/fifo"
printf '#!' > "$work/empty-script"
printf '#!/usr/bin/env\n' > "$work/env-script"
printf '#!/usr/bin/env -S\n' > "$work/split-script"
ln -s self "$work/self"
printf '#!%s/loop\n' "$work" > "$work/loop"
chmod +x "$work"/*-script "$work/loop"
for name in empty-script env-script split-script self loop; do
	status=0
	# Scripts of env execute themselves again and again.
	timeout 0.3 "$LZ_COMMAND" run --summary=none "$work/$name" > "$work/out" 2> "$work/err" || status=$?
	expect_no_match "no warning about $name" 'lazyzero: warning' "$work/err"
	[ "$status" -lt 128 ] || fail "$name: status $status"
done

finish
