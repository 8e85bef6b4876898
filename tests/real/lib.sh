# Shared by the scripts on real programs. Each says what it needs, writes the commands to $work/body, and
# calls `three SECONDS`: the body runs without lazyzero, preloaded with default settings, and preloaded with a
# budget so small that nearly every large request exceeds it. Output, errors and exit status must be equal.
export LC_ALL=C TZ=UTC
failed=0

[ -f "$LZ_LIBRARY" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-real.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
# A program that changes its user, as Python's tests do, must be able to read it.
chmod 755 "$work"
cp "$LZ_LIBRARY" "$work/liblazyzero.so" || exit 1
LZ_LIBRARY=$work/liblazyzero.so
trap 'exit 1' HUP INT TERM

fail() {
  echo "FAILED: $*"
  failed=1
}

# Where page faults are slow, programs get less to do and more time.
less=
if "$LZ_BUILDDIR/tests/kernel" slow-faults 'the work of real programs'; then less=1; fi

# amount FULL LESS
amount() {
  if [ -n "$less" ]; then echo "$2"; else echo "$1"; fi
}

# need PROGRAM PACKAGE
need() {
  command -v "$1" >/dev/null || { echo "skipped: $1 is missing (Debian package $2)"; exit 77; }
}

# run_way WAY SECONDS COMMAND...: runs the command without lazyzero (bare), by default, tiny or on the window,
# in the directory $work/WAY; keeps output and status. $before is preloaded in every way.
before=
run_way() {
  way=$1
  limit=$2
  shift 2
  case $way in
  bare) settings= preload= ;;
  default) settings= preload=$LZ_LIBRARY ;;
  tiny)
    preload=$LZ_LIBRARY
    settings="LAZYZERO_BUDGET=64K LAZYZERO_LOG=$work/tiny.log LAZYZERO_POLICY=log"
    ;;
  window)
    preload=$LZ_LIBRARY
    settings="LAZYZERO_BACKING=window LAZYZERO_BUDGET=16K LAZYZERO_LOG=$work/tiny.log LAZYZERO_POLICY=log"
    settings="$settings LAZYZERO_THRESHOLD=64K LAZYZERO_MALLOC_THRESHOLD=128K"
    ;;
  esac
  preload=${before:+$before${preload:+:}}$preload
  mkdir -p "$work/$way"
  [ -z "$less" ] || limit=$((limit * 4))
  (cd "$work/$way" && timeout "$limit" env ${preload:+LD_PRELOAD="$preload"} $settings "$@" >"../$way.output" 2>"../$way.errors")
  echo "status $?" >>"$work/$way.output"
}

# compare WAY: compares with the bare run.
compare() {
  for what in output errors; do
    cmp -s "$work/bare.$what" "$work/$1.$what" && continue
    fail "$1: $what differs from the bare run"
    diff "$work/bare.$what" "$work/$1.$what" | cut -c 1-300 | head -n 20
  done
}

# ended_well: checks that the bare run itself succeeded.
ended_well() {
  [ "$(tail -n 1 "$work/bare.output")" = 'status 0' ] && return
  fail "the bare run ended with $(tail -n 1 "$work/bare.output")"
  tail -n 5 "$work/bare.errors"
}

# was_preloaded: checks in the log of the tiny budget that the library was active.
was_preloaded() {
  grep -q 'over the budget\|; served from a .* zero window' "$work/tiny.log" 2>/dev/null ||
    fail 'nothing was over a budget of 64K: was it preloaded?'
}

three() {
  for way in bare default tiny; do
    run_way $way "$1" sh "$work/body"
  done
  ended_well
  compare default
  compare tiny
}
