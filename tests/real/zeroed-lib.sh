# Shared by the scripts on programs that clear large memory themselves (memset and what compilers and libraries
# make of `std::vector<double>(n)`, `a = 0`, bytearray(n), ...) and then use a small part of it.
. "$LZ_SRCDIR/tests/real/lib.sh"
: "${LZ_PYTHON3:=python3}"
need "$LZ_PYTHON3" python3

skips_pages=1
"$LZ_BUILDDIR/tests/kernel" fact pagemap_scan 2>/dev/null || {
  skips_pages=
  echo 'not tested: resident memory, for this kernel has no PAGEMAP_SCAN (Linux 6.7)'
}

# Runs a command, and appends to a file: seconds, seconds of processor time, and peak RSS in KiB.
cat >"$work/measure.py" <<'END'
import os, sys, time
start = time.monotonic()
pid = os.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "a") as file:
    file.write(f"{time.monotonic() - start:.2f} {usage.ru_utime + usage.ru_stime:.2f} {usage.ru_maxrss}\n")
sys.exit(os.waitstatus_to_exitcode(status) & 255)
END

# figure WAY COLUMN: of the last program that ran so.
figure() {
  tail -n 1 "$work/$1.figures" | cut -d ' ' -f "$2"
}

# zeroed NAME FACTOR COMMAND...: runs the command bare, preloaded, and with its memory on a zero window. Output,
# errors and exit status must be equal, and the bare run must take FACTOR times the resident memory of the
# preloaded one. FACTOR 0: not tested, because there is nothing to gain. Prints the figures.
zeroed() {
  name=$1
  factor=$2
  shift 2
  for way in bare default window; do
    run_way $way 60 "$LZ_PYTHON3" "$work/measure.py" "$work/$way.figures" "$@"
  done
  ended_well
  compare default
  compare window
  printf '%-33s bare %4d MiB, %s s (CPU %s s); preloaded %4d MiB, %s s (CPU %s s)\n' "$name" \
    $(($(figure bare 3) / 1024)) "$(figure bare 1)" "$(figure bare 2)" \
    $(($(figure default 3) / 1024)) "$(figure default 1)" "$(figure default 2)"
  [ "$factor" -eq 0 ] || [ -z "$skips_pages" ] ||
    [ "$(figure bare 3)" -ge $((factor * $(figure default 3))) ] ||
    fail "$name: the resident memory is not $factor times less"
}
