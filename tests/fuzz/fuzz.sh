#!/bin/sh
# Replays the saved corpus, then runs generated sequences: the same ones for 60 s, or new ones for
# FUZZ_SECONDS.
fuzz=$LZ_BUILDDIR/tests/fuzz/fuzz
export LZ_LIBRARY LC_ALL=C

# In a build with sanitizers the library is linked into the fuzzer, and LZ_LIBRARY is empty.
[ -z "$LZ_LIBRARY" ] || [ -f "$LZ_LIBRARY" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
[ -x "$fuzz" ] || { echo "no program at $fuzz: make check builds it"; exit 1; }
[ "$(getconf PAGESIZE)" = 4096 ] || { echo "skipped: the fuzzer is written for pages of 4 KiB"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

# Without the library, the fuzzer must find nothing: otherwise it would blame lazyzero for its own errors.
if [ -n "$LZ_LIBRARY" ]; then
  LZ_LIBRARY='' "$fuzz" --seconds 2 --length 4000 || { echo "it fails without lazyzero as well"; exit 1; }
fi
# LeakSanitizer reports blocks that are referenced only from regions; without regions in the program this has
# no effect.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
"$fuzz" --replay "$LZ_SRCDIR"/tests/fuzz/corpus/* || exit 1
# `make check` uses the same sequences each time, so that a failure points to a change.
if [ -n "$FUZZ_SECONDS" ]; then set -- --seconds "$FUZZ_SECONDS"; else set -- --seconds 60 --seed 1; fi
"$fuzz" --length 4000 "$@"
