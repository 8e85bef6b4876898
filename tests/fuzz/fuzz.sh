#!/bin/sh
# Replays the saved corpus, then makes up sequences of calls for 60 s, or other ones each time for FUZZ_SECONDS.
fuzz=$LZ_BUILDDIR/tests/fuzz/fuzz
export LZ_LIBRARY LC_ALL=C

# A build with sanitizers has the library inside the fuzzer, and LZ_LIBRARY is empty.
[ -z "$LZ_LIBRARY" ] || [ -f "$LZ_LIBRARY" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
[ -x "$fuzz" ] || { echo "no program at $fuzz: make check builds it"; exit 1; }
[ "$(getconf PAGESIZE)" = 4096 ] || { echo "skipped: the fuzzer is written for pages of 4 KiB"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

# Bare, the fuzzer finds nothing: or it would accuse lazyzero of what it does itself.
if [ -n "$LZ_LIBRARY" ]; then
  LZ_LIBRARY='' "$fuzz" --seconds 2 --length 4000 || { echo "it fails without lazyzero as well"; exit 1; }
fi
# What only regions point to looks lost to LeakSanitizer; where none is in the program this means nothing.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
"$fuzz" --replay "$LZ_SRCDIR"/tests/fuzz/corpus/* || exit 1
# `make check` makes up the same sequences each time, so that it tells of a change and not of chance.
if [ -n "$FUZZ_SECONDS" ]; then set -- --seconds "$FUZZ_SECONDS"; else set -- --seconds 60 --seed 1; fi
"$fuzz" --length 4000 "$@"
