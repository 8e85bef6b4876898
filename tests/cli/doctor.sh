# `doctor`: every probe prints a finding, the findings agree with the kernel, and limits are reported.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

run doctor
expect "standard error" "" "$(cat "$work/err")"
works=$status
case $works in
0) expect_match "conclusion" '^The zero window works here' "$work/out" ;;
1) expect_match "conclusion" '^The zero window does not work here' "$work/out" ;;
*) fail "status $works" ;;
esac
for name in kernel 'page tables' VmPTE memory 'zero page' overcommit limits PAGEMAP_SCAN PROCMAP_QUERY WIPEONFORK \
	POPULATE_READ GUARD_INSTALL 'mremap, many' 'huge zero page' PT_RECLAIM 'huge pages' \
	'huge, shmem' max_map_count MADV_COLLAPSE sealing 'zero window' mlock mremap 'shared memory'; do
	expect_match "$name" "^\\(ok  \\|note\\|bad \\)  $name  *[^ ]" "$work/out"
done
expect "no line is longer than 80 columns" "" "$(grep -E '.{81}' "$work/out")"
expect "no colours in a file" "" "$(LC_ALL=C tr -d '\n -~' < "$work/out")"
expect_match "this kernel" "Linux $(uname -r | sed 's/[.]/\\./g')" "$work/out"
expect_match "max_map_count" "max_map_count  *$(cat /proc/sys/vm/max_map_count)\$\|max_map_count  *$(cat /proc/sys/vm/max_map_count): " "$work/out"

# A separate program checks whether the zero page is used.
if compile zero <<'END'; then
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static long anonymous(void)
{
	char line[256];
	long kb = -1;
	FILE *file = fopen("/proc/self/status", "r");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "RssAnon: %ld", &kb);
	if (file)
		fclose(file);
	return kb;
}
int main(void)
{
	volatile char *at = mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before;
	madvise((void *)at, 32 << 20, MADV_NOHUGEPAGE);
	anonymous();
	before = anonymous();
	for (int i = 0; i < 32 << 20; i += 4096)
		(void)at[i];
	return anonymous() - before > 16 << 10;
}
END
	if "$work/zero"; then
		expect_match "zero page" '^ok    zero page  *reads of untouched memory map it' "$work/out"
	else
		expect_match "no zero page" '^note  zero page  *not used: ' "$work/out"
	fi
fi

if command -v python3 > /dev/null; then
	run doctor --json
	expect "status with --json" "$works" "$status"
	python3 - "$work/out" "$works" <<'END' || fail "--json"
import json, sys
said = json.load(open(sys.argv[1]))
assert said["window_works"] == (sys.argv[2] == "0"), said
assert len(said["findings"]) == 24 and all(f["found"] and f["health"] in ("ok", "note", "bad") for f in said["findings"]), said
if said["window_works"]:
    assert all(f["health"] != "bad" for f in said["findings"] if f["name"] in ("MADV_COLLAPSE", "sealing", "zero window")), said
END
fi

# There is no window if its file cannot be created: RLIMIT_FSIZE, whose signal must not kill the command, and RLIMIT_AS.
(
	ulimit -f 0
	exec "$LZ_COMMAND" doctor
) 2> "$work/err" | cat > "$work/out"
expect_match "RLIMIT_FSIZE" '^bad   MADV_COLLAPSE  *cannot create a memory file' "$work/out"
expect_match "the fix" 'ulimit -f' "$work/out"
expect_match "the conclusion without a window" '^The zero window does not work here' "$work/out"
if ! grep -q AddressSanitizer "$LZ_COMMAND"; then # which reserves address space without end
	(ulimit -v 1000000 && "$LZ_COMMAND" doctor) > "$work/out" 2> "$work/err"
	expect_match "RLIMIT_AS" 'overcommit  *.*cannot be mapped' "$work/out"
	expect_match "the name of the limit" 'limits  *low: address space' "$work/out"
fi
if command -v script > /dev/null; then
	TERM=xterm NO_COLOR='' script -qec "$LZ_COMMAND doctor" /dev/null < /dev/null > "$work/out" 2>&1
	expect_match "colours on a terminal" "$(printf '\033')\\[32mok" "$work/out"
	TERM=xterm NO_COLOR=1 script -qec "$LZ_COMMAND doctor" /dev/null < /dev/null > "$work/out" 2>&1
	expect_no_match "NO_COLOR" "$(printf '\033')\\[" "$work/out"
fi
expect_failure 125 "unexpected argument 'x'" doctor x

finish
