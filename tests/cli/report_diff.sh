# `report --diff`: two builds of a program whose lines moved, printed reports that were made up, versions, exit statuses.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

[ -f "${LZ_LIBRARY:-}" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
command -v python3 > /dev/null || { echo "skipped: python3 is missing"; exit 77; }

# printed FILE SITE...: a printed report. A SITE is FUNCTION:LINE:ASKED:WASTE:TABLES, sizes in KiB; its caller is main.
printed()
{
	python3 - "$@" <<'END_OF_PYTHON'
import json, sys
path, *sites = sys.argv[1:]
def site(text):
    function, line, *sizes = text.split(":")
    asked, waste, tables = (None if size == "?" else int(size) << 10 for size in sizes)
    place = {"module": "/bin/made", "offset": int(line) * 16, "function": function or None, "file": "/src/made.c", "line": int(line)}
    if not function:
        place.update(file=None, line=None)
    main = {"module": "/bin/made", "offset": 4, "function": "main", "file": "/src/made.c", "line": 900}
    return dict(place, call="calloc", stack=[place, main], bytes=asked, bytes_asked=asked, bytes_peak=asked, waste=waste, page_tables=tables)
json.dump({"version": 1, "by": "stack", "processes": [], "sites": [site(s) for s in sites], "regions": []}, open(path, "w"))
END_OF_PYTHON
}

# changes: the changes and the names of the last comparison.
changes()
{
	sed -n 's/^\(grew\|new\|shrank\|gone\|same\) .*  \(.*\)$/\1 \2/p' "$work/out" | sed 's/ (.*//; s/^\(.*\) [^ ]*made+/\1 +/' | xargs
}

# expect_changes WHAT STATUS CHANGES ARGUMENTS...
expect_changes()
{
	what=$1 wanted=$2 changed=$3
	shift 3
	run report "$@"
	expect "status: $what" "$wanted" "$status"
	expect "standard error: $what" "" "$(cat "$work/err")"
	expect "changes: $what" "$changed" "$(changes)"
}

printed old a:10:100000:50000:400 b:20:100000:50000:400 c:30:100000:50000:400 d:40:100000:50000:400
printed new a:10:100000:50000:400 b:20:110000:50000:400 c:30:90000:50000:400 e:50:100000:0:0
expect_changes "nothing" 0 "" --diff=old old
expect_changes "all of nothing" 0 "same a same b same c same d" --diff=old --all old
expect_match "the first line" '^by stack: 0 grew, 0 new, 0 shrank, 0 gone, 4 within 5%$' "$work/out"
expect_changes "each kind" 1 "grew b new e shrank c gone d" --diff=old new
expect_match "the first line of each kind" '^by stack: 1 grew, 1 new, 1 shrank, 1 gone, 1 within 5%$' "$work/out"
expect_match "figures of what grew" '^grew  *107M  +9.77M  48.8M           400K  *b (made.c:20)$' "$work/out"
expect_match "callers of what grew" '^       b < main$' "$work/out"
expect_match "figures of what is gone" '^gone  *0B  -97.7M     0B  -48.8M     0B   -400K  d (made.c:40)$' "$work/out"
expect_match "the sum" '^total    391M           146M  -48.8M  1.17M   -400K  all call sites$' "$work/out"
expect_changes "a tolerance that is reached" 1 "new e gone d" --diff=old --tolerance=10 new
expect_changes "a tolerance that is not" 1 "grew b new e shrank c gone d" --diff=old --tolerance=9% new
printed new a:10:100000:60000:400 b:20:100000:50000:500 c:30:100000:50000:430 d:40:100000:50000:400
expect_changes "waste and tables, of which 30 KiB are too little" 1 "grew a grew b" --diff=old --tolerance=0 new
printed new a:10:100000:50000:300 b:20:100000:50000:400 c:30:100000:50000:400
expect_changes "only less" 0 "shrank a gone d" --diff=old new

# Lines and offsets that moved, of several sites of one name in their order.
printed old a:10:100000:0:0 a:12:200000:0:0 :3:100000:0:0
printed new a:100:100000:0:0 a:112:300000:0:0 :4:100000:0:0
expect_changes "moved lines" 1 "grew a" --diff=old new
expect_match "the line that moved" ' 293M  +97.7M .* a (made.c:112)$' "$work/out"
printed new a:100:200000:0:0 a:112:100000:0:0 :4:100000:0:0
expect_changes "moved lines, by function" 0 "" --diff=old --by=function new
expect_changes "moved lines, by module" 0 "same made" --diff=old --by=module --all new
printed new a:12:200000:0:0 a:11:100000:0:0 :3:100000:0:0
expect_changes "one line that moved" 0 "" --diff=old new

# Several, what is unknown, and JSON.
printed old a:10:100000:?:? b:20:200000:0:0
printed new a:10:100000:100000:100
printed newer b:20:300000:?:0
expect_changes "several reports, unknown figures" 1 "grew b" --diff=old new newer
expect_match "an unknown figure" '^grew  *293M  +97.7M      ?  ' "$work/out"
run report --diff=old --json new newer
expect "status of JSON" 1 "$status"
python3 - "$work/out" <<'END_OF_PYTHON' || fail "JSON"
import json, sys
diff = json.load(open(sys.argv[1]))
assert (diff["version"], diff["by"], diff["tolerance_percent"]) == (1, "stack", 5), diff
assert (diff["grew"], diff["new"], diff["shrank"], diff["gone"], diff["same"]) == (1, 0, 0, 0, 1), diff
a, b = diff["sites"]
assert (a["function"], a["change"], b["function"], b["change"]) == ("a", "same", "b", "grew"), diff
assert b["bytes_asked"] == {"old": 200000 << 10, "new": 300000 << 10}, b
assert b["waste"] == {"old": 0, "new": None} and b["stack"][1]["function"] == "main", b
END_OF_PYTHON

# --- what cannot be compared ---

expect_failure 125 "cannot read '/nowhere': No such file" report --diff=/nowhere new
expect_failure 125 "cannot read '/nowhere': No such file" report --diff=old new /nowhere
expect_failure 125 "no report and no program given" report --diff=old
expect_failure 125 '--tolerance needs --diff' report --tolerance=5 new
expect_failure 125 '--tolerance: "x" is not accepted: it takes a percentage from 0% to 1000%' report --diff=old --tolerance=x new
expect_failure 125 '--tolerance: "1001" is not accepted' report --diff=old --tolerance=1001 new
expect_failure 125 '--html cannot be used with --diff' report --diff=old --html=page new
expect_failure 125 '--folded cannot be used with --diff' report --diff=old --folded new
sed 's/"version": 1/"version": 2/' old > future
expect_failure 125 "'future' is of version 2; this command reads version 1" report --diff=future new
expect_failure 125 "'future' is of version 2; this command reads version 1" report --diff=old future
sed 's/"version": 1, //' old > past
expect_failure 125 "'past' has no version, so an older lazyzero printed it" report --diff=past new
sed 's/"version": 1/"version": "1"/' old > text
expect_failure 125 "'text' is of version 0; this command reads version 1" report --diff=text new
for content in '' '{' '[]' '{"sites": 3}' '{"version": 1}'; do
	echo "$content" > broken
	expect_failure 125 "'broken' is not a report that 'lazyzero report --json' printed" report --diff=broken new
done
echo '{"version": 1, "sites": [3, {}, {"stack": [7, {"function": 8}]}, {"stack": 9, "line": 1e99}]}' > odd
run report --diff=odd odd
expect "status of odd members" 0 "$status"

# --- real programs ---

cat > "$work/source.c" <<'END_OF_C'
#include <stdlib.h>
#define M (1024ul * 1024)
#ifdef LATER
/* Moves the lines below. */
#endif
__attribute__((noinline)) static char *steady(void)
{
	char *p = calloc(32, M);
	p[0] = 1;
	return p;
}
__attribute__((noinline)) static char *growing(void)
{
	char *p = calloc(SIZE, M);
	p[0] = 1;
	return p;
}
int main(void)
{
	char *volatile kept[] = {steady(), growing()};
	return kept[0] == kept[1];
}
END_OF_C
compile before -g -O1 -fno-builtin -DSIZE=32 < "$work/source.c" || finish
compile after -g -O1 -fno-builtin -DSIZE=64 -DLATER < "$work/source.c" || finish
expect_failure 125 "cannot read '/nowhere': No such file" report --diff=/nowhere -- touch ran
[ ! -e ran ] || fail "the program ran though there is nothing to compare it with"
run report --library="$LZ_LIBRARY" --json -- "$work/before"
expect "status of the program" 0 "$status"
cp out before.json
expect_changes "the same program again" 0 "" --diff=before.json --library="$LZ_LIBRARY" -- "$work/before"
expect_changes "a program that grew" 1 "grew growing" --diff=before.json --library="$LZ_LIBRARY" -- "$work/after"
LD_PRELOAD=$LZ_LIBRARY LAZYZERO_REPORT=$work/report "$work/after"
expect_changes "a report of the library" 1 "grew growing" --diff=before.json report
expect_failure 125 "'report' is a report of the library; --diff takes what 'lazyzero report --json report' prints" report --diff=report report
run report --json --by=function report
cp out function.json
expect_changes "a report by function" 1 "grew growing" --diff=before.json function.json
expect_match "the coarser of the two" '^by function: ' "$work/out"
expect_changes "the coarser of several" 1 "new growing new steady" --diff=before.json before.json function.json
expect_match "the coarser of several" '^by function: ' "$work/out"

finish
