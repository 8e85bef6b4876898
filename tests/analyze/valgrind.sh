#!/bin/sh
# A sample of the probes under valgrind's memcheck with the library preloaded: no errors.
#
# Valgrind replaces malloc and its family wherever they are defined, lazyzero's included; then only the mmap
# family and the API would be tested. With an option it replaces only those of the C library: lazyzero then
# serves large requests, and passes the rest on to valgrind's. Not in the sample: probes that need alignments
# or address space beyond valgrind's limits, and those that would take minutes.
. "$LZ_SRCDIR/tests/probe/lib.sh"
command -v valgrind >/dev/null || { echo 'skipped: valgrind is missing (Debian package valgrind)'; exit 77; }
valgrind -q true 2>"$work/errors" || { echo "skipped: valgrind does not run here: $(head -n 1 "$work/errors")"; exit 77; }

# check NAME [VARIABLE=VALUE...] -- PROBE [ARGUMENT...]
check() {
  name=$1
  shift
  settings=
  while [ "$1" != -- ]; do settings="$settings $1"; shift; done
  shift
  probe=$1
  shift
  env LAZYZERO_LOG=none $settings LD_PRELOAD="$LZ_LIBRARY" timeout $hang valgrind -q --error-exitcode=9 \
    --soname-synonyms=somalloc=nouserintercepts "$probes/$probe" "$@" >"$work/output" 2>&1 && return
  fail "$name: status $?"
  head -n 30 "$work/output"
}

check 'regions over generations of children' -- concurrent regions
check 'the same with nothing recycled' $tight -- concurrent regions
# Few: where pages are walked in software, a fork under valgrind takes most of a second.
check 'from a raw clone' -- concurrent clones 20
exit $failed
