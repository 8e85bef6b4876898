#!/bin/sh
# Policy refuse: all checks of refuse.c in every place; and the log lines: their form, the caller as
# addr2line(1) finds it, JSON, the limit on repeats.
. "$LZ_SRCDIR/tests/probe/lib.sh"
refuse='LAZYZERO_POLICY=refuse LAZYZERO_BUDGET=1M LAZYZERO_BACKING=zeropage'

# Without lazyzero nothing is refused, so there is no run to compare with.
for allocator in '' $(find_allocators); do
  known=
  [ -z "$allocator" ] || known="PROBE_ALLOCATOR=$allocator"
  for place in main thread fork constructor; do
    timeout $hang env $refuse $known PROBE_WHERE=$place LD_PRELOAD="$LZ_LIBRARY $early $allocator" \
      "$probes/refuse" >"$work/output" 2>"$work/errors" && continue
    fail "refuse in $place, allocator ${allocator:-of libc}"
    grep -v '^lazyzero\[' "$work/errors" | head -n 10
  done
done

size='[0-9.]+ ([KMGTPE]i)?B'
form="^lazyzero\[[0-9]+\] refused calloc\(549755813888\): 1\.00 GiB of page tables needed, $size in use \
\($size committed, $size actual\), budget 1\.00 MiB \(LAZYZERO_BUDGET=1M\), from [^ ]+\+0x[0-9a-f]+\$"
for program in refuse refuse-fixed; do
  run $refuse "$probes/$program" line 2>"$work/line" || fail "$program line: status $?"
  [ "$(wc -l <"$work/line")" -eq 1 ] || fail "not one line: $(cat "$work/line")"
  grep -Eq "$form" "$work/line" || fail "not the documented form: $(cat "$work/line")"
  if command -v addr2line >/dev/null; then
    offset=$(sed -n "s/.* from $program+\(0x[0-9a-f]*\)\$/\1/p" "$work/line")
    # The offset is a return address; the call is before it.
    name=$(addr2line -f -e "$probes/$program" "$(printf '0x%x' $((${offset:-1} - 1)))" | head -n 1)
    [ "$name" = ask_for_too_much ] || fail "$program+$offset is in $name, not in ask_for_too_much"
  else
    echo "not tested: addr2line (binutils) is missing"
  fi
done

run $refuse LAZYZERO_LOG_FORMAT=json "$probes/refuse" line 2>"$work/line" || fail "json: status $?"
if command -v python3 >/dev/null; then
  python3 -c '
import json, sys
event = json.loads(sys.stdin.read())
assert event["event"] == "refused" and event["call"] == "calloc" and event["size"] == 549755813888, event
assert event["budget"] == 1 << 20 and event["cost"] > 1 << 30 and event["module"] == "refuse", event
assert set(event) == {"event", "pid", "call", "size", "cost", "committed", "actual", "budget",
                      "budget_source", "module", "offset"}, event
' <"$work/line" || fail "not the JSON expected: $(cat "$work/line")"
else
  echo "not parsed: python3 is missing"
  grep -q '^{"event":"refused",.*}$' "$work/line" || fail "not the JSON expected: $(cat "$work/line")"
fi

run $refuse "$probes/refuse" lines 50 2>"$work/lines" || fail "lines: status $?"
shown=$(grep -c ' refused calloc(' "$work/lines")
[ "$shown" -eq 3 ] || fail "$shown of 50 refusals of one call site shown, expected 3"
grep -Eq '\] 47 more of "refused calloc", [0-9.]+ TiB together, from refuse\+0x[0-9a-f]+$' "$work/lines" ||
  fail "47 not summed: $(tail -n 2 "$work/lines")"
tail -n 1 "$work/lines" | grep -q 'not shown.* 47 refused$' ||
  fail "47 not counted: $(tail -n 1 "$work/lines")"
[ "$(wc -l <"$work/lines")" -eq 5 ] || fail "more than 5 lines"

for policy in refuse log; do
  run $refuse LAZYZERO_POLICY=$policy "$probes/refuse" file 2>"$work/errors" || fail "file, $policy: status $?"
  [ ! -s "$work/errors" ] || fail "file, $policy: $(cat "$work/errors")"
done

if make_group $((64 << 20)); then
  limit=$group/memory.max
  [ -f "$limit" ] || limit=$group/memory.limit_in_bytes
  in_group env LD_PRELOAD="$LZ_LIBRARY" LAZYZERO_POLICY=refuse LAZYZERO_BACKING=zeropage LAZYZERO_LOG=none \
    "$probes/refuse" raised "$limit" 2>"$work/errors" || fail "a raised limit: status $?: $(cat "$work/errors")"
  remove_group
else
  echo 'not tested: a raised memory limit: no control group can be made here'
fi

# By default a window is used first: 8 GiB within 1 MiB. Requests that are too large even for that are
# refused.
if "$LZ_COMMAND" doctor >/dev/null 2>&1; then
  form="^lazyzero\[[0-9]+\] calloc\(8589934592\): 16\.0 MiB of page tables needed, $size in use \
\($size committed, $size actual\), budget 1\.00 MiB \(LAZYZERO_BUDGET=1M\); served from a 2 MiB zero window: \
44\.0 KiB of page tables, from [^ ]+\+0x[0-9a-f]+\$"
  run LAZYZERO_POLICY=refuse LAZYZERO_BUDGET=1M "$probes/logging" events 1 >/dev/null 2>"$work/line" ||
    fail "events on the window: status $?"
  grep -Eq "$form" "$work/line" || fail "not the documented form: $(cat "$work/line")"
  run LAZYZERO_POLICY=refuse LAZYZERO_BUDGET=1M "$probes/refuse" line 2>"$work/line" ||
    fail "line over the window: status $?"
  grep -Eq 'refused calloc.* budget .*, even with a [0-9]+ MiB zero window, from ' "$work/line" ||
    fail "not the documented form: $(cat "$work/line")"
  run LAZYZERO_POLICY=refuse LAZYZERO_BUDGET=4M LAZYZERO_LOG=none "$probes/refuse" window 2>"$work/errors" ||
    fail "written blocks of a window: status $?: $(cat "$work/errors")"
else
  echo 'not tested: no zero window here (lazyzero doctor)'
fi
exit $failed
