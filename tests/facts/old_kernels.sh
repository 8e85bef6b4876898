#!/bin/sh
# Runs the library, the command and programs as on a kernel that lacks one feature, for each fact of src/os/facts.h in turn: a few seconds of probes and of the fuzzer. With SUITES=full, which `make suites` sets: all probes that compare with plain memory, and a minute of the fuzzer.
facts=$LZ_BUILDDIR/tests/facts
LZ_LIBRARY=$facts/.libs/liblazyzero.so
LZ_BESIDE=$facts/.libs/program.so
export LZ_BESIDE
. "$LZ_SRCDIR/tests/probe/lib.sh"
fuzz=$LZ_BUILDDIR/tests/fuzz/fuzz
small='LAZYZERO_LOG=none LAZYZERO_THRESHOLD=64K LAZYZERO_MALLOC_THRESHOLD=128K'

# The library only reports these; nothing in it depends on them.
seen='zero_page huge_zero_page pt_reclaim'

LZ_HIDE_FACTS=populate "$facts/kernel" fact populate
[ $? -ne 0 ] || { echo 'skipped: src/os/raw_syscall.h has no system calls for this architecture, so nothing can be hidden'; exit 77; }

# in_all PROBE: runs the probe with low thresholds, on the zero window, and far over the budget. The probe checks itself, and must print what it prints without the library.
in_all() {
  program=$probes/$(echo "$1" | tr : ' ')
  env $small LD_PRELOAD="$early" timeout $hang $program >"$work/expected" 2>"$work/errors" ||
    { fail "$fact hidden: $1 without lazyzero"; head -n 5 "$work/errors"; return; }
  for settings in "$small" "$small LAZYZERO_BACKING=window" "$small LAZYZERO_BUDGET=16K LAZYZERO_CACHE=0"; do
    env $settings LD_PRELOAD="$LZ_LIBRARY $early" timeout $hang $program >"$work/output" 2>"$work/errors" ||
      { fail "$fact hidden: $1 with $settings: status $?"; head -n 5 "$work/errors"; }
    cmp -s "$work/expected" "$work/output" ||
      { fail "$fact hidden: $1 with $settings: the output differs"; diff "$work/expected" "$work/output" | head -n 5; }
  done
}

# probes_of FACT: the probes that do not need the hidden feature themselves.
probes_of() {
  case $1 in
  mremap_dontunmap) echo 'denied_syscalls:run' ;;
  *) echo 'denied_syscalls:run mmap' ;;
  esac
}

# scripts_of FACT: the scripts that do not.
scripts_of() {
  echo 'api concurrent cached_regions limits misuse refuse window_memory'
  # Without PAGEMAP_SCAN, mincore reports all pages of a window as resident.
  [ "$1" = pagemap_scan ] || echo malloc
  case $1 in
  wipe_on_fork) echo 'mmap window' ;;
  mremap_dontunmap) ;;
  *) echo 'block_attributes mmap window wipe_on_fork' ;;
  esac
}

# fuzz_for SECONDS: runs the fuzzer, always from the same seed.
fuzz_for() {
  library="$LZ_LIBRARY $LZ_BESIDE"
  # If MAP_FIXED_NOREPLACE is a hint, the two sides of a comparison get addresses that cannot be compared.
  [ "$fact" != fixed_noreplace ] || library=$LZ_LIBRARY
  (cd "$work" && LZ_LIBRARY=$library timeout $((hang + $1)) "$fuzz" --seconds "$1" --seed 1 --length 4000) \
    >"$work/output" 2>&1 || { fail "$fact hidden: the fuzzer"; head -n 3 "$work/output"; tail -n 20 "$work/output"; }
}

for fact in $("$facts/kernel" facts | sed 's/ .*//'); do
  case " $seen " in *" $fact "*) continue ;; esac
  if ! "$facts/kernel" fact "$fact"; then
    echo "not tested: this kernel lacks $fact itself"
    continue
  fi
  LZ_HIDE_FACTS=$fact
  export LZ_HIDE_FACTS
  "$facts/kernel" fact "$fact" >"$work/output" 2>&1
  [ $? -eq 1 ] || fail "$fact is hidden, but not reported as unsupported: $(cat "$work/output")"
  "$facts/kernel" facts | awk -v fact="$fact" '$1 != fact && $1 != "pt_reclaim" && $2 == "failed"' >"$work/output"
  [ ! -s "$work/output" ] || fail "$fact is hidden, and others fail: $(cat "$work/output")"
  timeout $hang "$facts/lazyzero" doctor >"$work/output" 2>"$work/errors"
  [ $? -le 1 ] && grep -q '^The zero window' "$work/output" || fail "$fact hidden: doctor: $(cat "$work/errors")"
  if [ "$SUITES" = full ]; then
    for script in $(scripts_of "$fact"); do
      LZ_LIBRARY=$LZ_LIBRARY "${BASH:-sh}" "$LZ_SRCDIR/tests/probe/$script.sh" >"$work/output" 2>&1
      status=$?
      [ $status -eq 0 ] || [ $status -eq 77 ] || { fail "$fact hidden: $script.sh"; head -n 20 "$work/output"; }
    done
    fuzz_for 60
    LZ_LIBRARY="$LZ_LIBRARY $LZ_BESIDE" "$fuzz" --replay "$LZ_SRCDIR"/tests/fuzz/corpus/*.txt >"$work/output" 2>&1 ||
      { fail "$fact hidden: the corpus"; tail -n 20 "$work/output"; }
  else
    for probe in $(probes_of "$fact"); do in_all "$probe"; done
    fuzz_for 2
  fi
  unset LZ_HIDE_FACTS
done
exit $failed
