#!/bin/sh
# The runner of the benchmark, on sizes so small that its figures say nothing: what it writes, a peer that is missing,
# one that crashes, one that takes too much memory, its plots, and what Ctrl-C leaves behind. Takes some 10 seconds.
: "${LZ_PYTHON3:=python3}"
"$LZ_PYTHON3" -c 'import os; os.pidfd_open' 2>/dev/null ||
  { echo "skipped: python3 of at least 3.9 is missing"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-bench-check.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# The runner removes its own directory of that kind; none may stay.
TMPDIR=$work
LC_ALL=C
export TMPDIR LC_ALL
# Under a path that is ours alone, by which its processes are known.
workload=$work/workload
cp "$LZ_BUILDDIR/bench/workload" "$workload" || exit 1
failed=0

fail() {
  echo "FAILED: $*"
  failed=1
}

# bench ARGUMENT...: the runner, output to $work/out and $work/err, results to $work/results.json.
bench() {
  timeout 100 "$LZ_PYTHON3" -B "$LZ_SRCDIR/bench/run.py" --workload "$workload" \
    --library "$LZ_LIBRARY" --output "$work/results.json" "$@" >"$work/out" 2>"$work/err"
}

# holds EXPRESSION WHAT: of the results, which are `results`, with its rows by name in `rows`.
holds() {
  "$LZ_PYTHON3" - "$work/results.json" "$1" <<'PYTHON' || fail "$2: $1"
import json, sys
results = json.load(open(sys.argv[1]))
rows = {row["name"]: row for row in results["rows"]}
sys.exit(not eval(sys.argv[2]))
PYTHON
}

# nothing_left WHAT: no process, no control group, no directory.
nothing_left() {
  for directory in "$work"/lazyzero-bench-*; do
    [ ! -e "$directory" ] || fail "$1: $directory is left"
  done
  # Of this run: others may be benchmarking.
  left=$(find /sys/fs/cgroup -type d -name "lazyzero-bench-$runner-*" 2>/dev/null)
  [ -z "$left" ] || fail "$1: the control group $left is left"
  for command in /proc/[0-9]*/cmdline; do
    case $(tr '\0' ' ' 2>/dev/null <"$command") in
    "$workload "*) fail "$1: process ${command%/cmdline} is left" ;;
    esac
  done
}

bench --rows scan,reuse-dense-1m,small-2,churn,dense-always,python3 --scale 4096 --rounds 1 --peers lazyzero \
  --peer crashing="$LZ_BUILDDIR/bench/.libs/crash.so" --peer absent=libnot-there.so || fail "status $? of a tiny run"
cat "$work/out"
holds 'len(rows) == 6 and "interrupted" not in results' "all rows are in the results"
holds 'set(results["machine"]) >= {"kernel", "cpu", "ram", "zero_page", "thp", "date"}' "the machine is described"
holds 'all(rows["scan"]["peers"][name]["status"] == "ok" for name in ("glibc", "lazyzero"))' "bare and lazyzero run"
holds 'rows["scan"]["peers"]["glibc"]["figures"]["faults"]["median"] >= rows["scan"]["size"] // 4096' "faults are counted"
holds 'rows["scan"]["peers"]["lazyzero"]["ratio"]["median"] > 0' "there are ratios"
holds 'rows["small-2"]["peers"]["glibc"]["figures"]["seconds"]["n"] == 2' "rounds are as many as the row asks for"
holds 'rows["scan"]["peers"]["crashing"]["status"] == "crashed: SIGSEGV"' "a crash is named"
holds 'len(rows["small-2"]["peers"]["crashing"]["runs"]) == 1' "a peer that crashed is not run again in the row"
holds 'rows["scan"]["peers"]["absent"]["status"].startswith("missing")' "a missing peer is named"
holds 'all(target["verdict"] in ("reached", "missed", "not measured", "reported")
  for row in results["rows"] for target in row["targets"])' "every target has its word"
holds 'rows["churn"]["targets"][0]["verdict"] in ("reached", "missed")' "targets are computed"
grep -q '^  crashing *crashed: SIGSEGV' "$work/out" || fail "the table does not show the crash"
[ -z "$(awk 'length > 100' "$work/out")" ] || fail "a line of the table is longer than 100 columns"

if command -v gnuplot >/dev/null; then
  "$LZ_PYTHON3" -B "$LZ_SRCDIR/bench/plots.py" "$work/results.json" "$work/plots" >"$work/out" 2>"$work/err" ||
    fail "plots.py: status $?"
  [ ! -s "$work/err" ] || { fail "gnuplot complains"; head -n 5 "$work/err"; }
  grep -q '</svg>' "$work/plots/ratios.svg" || fail "ratios.svg is no whole picture"
  grep -q '^not drawn: .*scan-time.svg' "$work/out" || fail "a picture without figures is not named"
else
  echo "not tested: plots, for gnuplot is missing"
fi

bench --rows scan --scale 4096 --rounds 1 --peers glibc --json || fail "status $? of a run with --json"
cmp -s "$work/out" "$work/results.json" || fail "--json prints something else than the results file"

# 64 MiB are written, 24 are allowed; the row would be made smaller by itself, were it not at its least.
bench --rows reuse-dense-64m --memory 24M --rounds 1 --scale 16 --peers glibc || fail "status $? of a run over its memory"
holds 'rows["reuse-dense-64m"]["peers"]["glibc"]["status"] == "killed (out of memory)"' "who takes too much is killed"

bench --rows no-such-row && fail "a row that does not exist is accepted"
grep -q 'no "no-such-row"; --list' "$work/err" || fail "the message on a row that does not exist"

# Not through bench(), whose timeout would be in the way of the signal.
"$LZ_PYTHON3" -B "$LZ_SRCDIR/bench/run.py" --workload "$workload" --library "$LZ_LIBRARY" \
  --output "$work/results.json" --rows scan,small-1 --scale 4096 --rounds 100000 --patience 100000 \
  --peers glibc >"$work/out" 2>"$work/err" &
runner=$!
sleep 2
kill -INT $runner || fail "the runner ended by itself"
wait $runner
status=$?
[ $status -eq 130 ] || fail "status $status after SIGINT"
holds 'results["interrupted"] and rows["scan"]["peers"]["glibc"]["runs"]' "an interrupted run keeps its results"
grep -q '^Targets:' "$work/out" || fail "an interrupted run prints what it has"
nothing_left "after SIGINT"
exit $failed
