#!/bin/sh
# Freeing a pointer that is not a block aborts the program with one clear line, as glibc does for its own
# blocks; nothing else aborts it.
. "$LZ_SRCDIR/tests/probe/lib.sh"
ulimit -c 0
from='; an error in the program, which is aborted; called from misuse+0x[0-9a-f]*$'

# run_quietly [VARIABLE=VALUE...] COMMAND: keeps the shell's own message "Aborted" out of stderr.
run_quietly() {
  (
    run sh -c 'errors=$1; shift; exec env "$@" 2>"$errors"' - "$work/errors" "$@" >"$work/output"
    echo $? >"$work/status"
  ) 2>/dev/null
}

# ends WAY PATTERN [VARIABLE=VALUE...]: by SIGABRT, with that one line.
ends() {
  way=$1 pattern="^lazyzero\[[0-9]*\] $2$from"
  shift 2
  run_quietly "$@" "$probes/misuse" "$way"
  [ "$(cat "$work/status")" -eq 134 ] || fail "$way $*: status $(cat "$work/status")"
  [ "$(wc -l <"$work/errors")" -eq 1 ] && grep -q "$pattern" "$work/errors" ||
    fail "$way $*: $(cat "$work/errors")"
}

# goes_on WAY [VARIABLE=VALUE...]: as without lazyzero.
goes_on() {
  way=$1
  shift
  run "$@" "$probes/misuse" "$way" >"$work/output" 2>"$work/errors" && [ "$(cat "$work/output")" = done ] &&
    [ ! -s "$work/errors" ] || fail "$way $*: $(cat "$work/errors")"
}

twice='(0x[0-9a-f]*): double free: the block was freed before'
gone='(0x[0-9a-f]*): invalid pointer or double free: nothing is mapped there'
inside='(0x[0-9a-f]*): invalid pointer, [0-9]* bytes into a block of 41943040'
for backing in zeropage window; do
  set -- LAZYZERO_BACKING=$backing
  ends twice "free$twice" "$@"
  ends twice "free$gone" "$@" LAZYZERO_CACHE=0
  ends inside "free$inside" "$@"
  ends inside-freed "free$twice" "$@"
  ends inside-freed "free$gone" "$@" LAZYZERO_CACHE=0
  ends resize-inside "realloc$inside" "$@"
  ends resize-freed "realloc$twice" "$@"
  ends resize-freed "realloc$gone" "$@" LAZYZERO_CACHE=0
  goes_on foreign_blocks "$@"
  goes_on foreign_blocks "$@" LAZYZERO_CACHE=0
  goes_on in-child-too "$@"
  goes_on in-child-too "$@" LAZYZERO_CACHE=0
done
# The line is written to stderr whatever LAZYZERO_LOG says.
ends twice "free$twice" LAZYZERO_LOG=none
ends twice "free$twice" LAZYZERO_LOG="$work/log"
grep -q "$twice$from" "$work/log" || fail "the log has $(cat "$work/log")"
ends twice "free$twice" LAZYZERO_LOG="$work/log.json" LAZYZERO_LOG_FORMAT=json
grep -q '"event":"note".*"text":"free(.*double free' "$work/log.json" || fail "the log has $(cat "$work/log.json")"
# A pointer that is not page-aligned is left to the next allocator; glibc finds no header there.
run_quietly "$probes/misuse" inside-unaligned
[ "$(cat "$work/status")" -ge 128 ] || fail "inside-unaligned: status $(cat "$work/status")"
# Page-aligned blocks of other allocators are accepted.
for allocator in $(find_allocators); do
  LD_PRELOAD="$LZ_LIBRARY $allocator" "$probes/misuse" foreign_blocks >"$work/output" 2>"$work/errors" &&
    [ "$(cat "$work/output")" = done ] && [ ! -s "$work/errors" ] ||
    fail "foreign_blocks above $allocator: $(cat "$work/errors")"
done
exit $failed
