# `cost`: the figures, and the arguments that it rejects.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

x86="--geometry=x86-64 4-level"

# rows ARGUMENTS...: the name, tables and bytes of each row, in one line: "PTE 1 4096;PMD 1 4096;..."
rows()
{
	run cost "$@"
	# The columns of a row, from the right, are: [yes|no] unit size bytes tables.
	awk 'NR > 3 {
		last = NF
		if ($last == "yes" || $last == "no")
			last--
		name = $1 == "in" ? "VmPTE" : $1
		printf "%s %s %s;", name, $(last - 3), $(last - 2)
	}' "$work/out"
}

expect "one page" "PTE 1 4096;PMD 1 4096;PUD 1 4096;PGD 1 4096;all 4 16384;VmPTE 3 12288;" \
	"$(rows 4096 "$x86")"
expect "one byte is one page" "$(rows 4096 "$x86")" "$(rows 1 "$x86")"
expect "512 GiB" "PTE 262144 1073741824;PMD 512 2097152;PUD 1 4096;PGD 1 4096;all 262658 1075847168;VmPTE 262657 1075843072;" \
	"$(rows 512G "$x86")"
expect "512 GiB in pages of 2 MiB" "PTE 0 0;PMD 512 2097152;PUD 1 4096;PGD 1 4096;all 514 2105344;VmPTE 513 2101248;" \
	"$(rows --page-size 2M 512G "$x86")"
expect "1 GiB in pages of 1 GiB" "PTE 0 0;PMD 0 0;PUD 1 4096;PGD 1 4096;all 2 8192;VmPTE 1 4096;" \
	"$(rows 1G --page-size=1G "$x86")"
expect "two pages in two tables" "PTE 2 8192;PMD 1 4096;PUD 1 4096;PGD 1 4096;all 5 20480;VmPTE 4 16384;" \
	"$(rows 8K --at=0x1ff000 "$x86")"
expect "two bytes in two pages" "$(rows 8K --at=0x1ff000 "$x86")" "$(rows 2 --at=0x1fffff "$x86")"
expect "an address as a size" "$(rows 8K --at=0x40000000 "$x86")" "$(rows 8K --at=1G "$x86")"
expect "the whole address space" "PTE 67108864 274877906944;PMD 131072 536870912;PUD 256 1048576;PGD 1 4096;all 67240193 275415830528;VmPTE 67240192 275415826432;" \
	"$(rows 128T "$x86")"
expect "5 levels" "PTE 1 4096;PMD 1 4096;PUD 1 4096;P4D 1 4096;PGD 1 4096;all 5 20480;VmPTE 3 12288;" \
	"$(rows 4096 --geometry 'x86-64 5-level')"
expect "arm64, 64K pages" "PTE 8 524288;PMD 1 65536;PGD 1 512;all 10 590336;VmPTE 9 589824;" \
	"$(rows 4G --geometry 'arm64 64K 48-bit')"
run cost 4096
expect "status without a geometry" 0 "$status"
expect "standard error" "" "$(cat "$work/err")"

run cost --processes=50 8G "$x86"
expect_match "--processes" '^in VmPTE of 50 processes that map it: 802 MiB in pages of 4.00 KiB, 1.76 MiB in pages of 2.00 MiB$' "$work/out"
for wrong in 0 -1 x 4194305; do
	run cost --processes=$wrong 8G
	expect "--processes=$wrong" 125 "$status"
done
run cost --list
expect_match "--list" '^[* ] arm64 64K 48-bit  *3  *48  64K, 512M and 4T$' "$work/out"
case $(uname -m) in
x86_64 | aarch64)
	expect "--list marks this machine's" 1 "$(grep -c '^\*' "$work/out")"
	run cost 4096
	name=$("$LZ_COMMAND" cost --list | sed -n 's/^\* \([^ ]* .*[^ ]\)   *[0-9]  .*/\1/p')
	expect_match "the default geometry is this machine's" ", $name\$" "$work/out"
	;;
esac

if command -v python3 > /dev/null; then
	run cost 512G "$x86" --json
	python3 - "$work/out" <<'END' || fail "--json"
import json, sys
cost = json.load(open(sys.argv[1]))
assert cost["total_bytes"] == 1075847168 and cost["vmpte_bytes"] == 1075843072, cost
assert cost["address"] is None and cost["bytes"] == 1 << 39 and cost["page_bytes"] == 4096, cost
assert [level["tables"] for level in cost["levels"]] == [262144, 512, 1, 1], cost
assert [level["in_vmpte"] for level in cost["levels"]] == [True, True, True, False], cost
END
	run cost --list --json
	python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))["geometries"]) > 20' "$work/out" || fail "--list --json"
else
	echo "skipped: JSON (no python3)"
fi

# Rejected input: the message, then the arguments.
while IFS='|' read -r pattern arguments; do
	# shellcheck disable=SC2086
	expect_failure 125 "$pattern" cost "$x86" $arguments
done <<'END'
no size given|
at least 1 byte|0
at least 1 byte|0G
"abc" is not a size|abc
"4096x" is not a size|4096x
"-5" is not a size|-- -5
exceeds the user address space|129T
exceeds the user address space|16E
exceeds the user address space|99999999999999999999
exceeds the user address space|--at=128T 1
exceeds the user address space|--at=0x7ffffffff000 4097
exceeds the user address space|--at=0xffffffffffffffff 1
exceeds the user address space|--at=1 18446744073709551615
--at: "0x" is not accepted|--at 0x 1
--at: "0x1g" is not accepted|--at 0x1g 1
--at: "0x10000000000000000" is not accepted|--at 0x10000000000000000 1
--at: "-1" is not accepted|--at -1 1
--at needs a value|1 --at
pages of x86-64 4-level are of 4K, 2M and 1G|--page-size=3M 1
pages of x86-64 4-level are of 4K, 2M and 1G|--page-size=512G 1
pages of x86-64 4-level are of 4K, 2M and 1G|--page-size=0 1
--json takes no value|--json=yes 1
did you mean '--page-size'|--pagesize=2M 1
unexpected argument '2'|1 2
END
# Architectures whose geometry is known.
expect_failure 125 "unknown geometry 'vax'" cost --geometry=vax 1
expect_failure 125 "did you mean 'riscv64 sv48'?" cost --geometry="riscv64 sv488" 1

finish
