#!/bin/sh
# make analyze: checks every source with cppcheck, clang-tidy (.clang-tidy) and gcc's -fanalyzer. There are no
# open findings: false positives are suppressed in the source, with the reason, or here. Takes a few minutes;
# not part of make check.
cd "$LZ_SRCDIR" || exit 1
flags="-std=gnu11 -D_GNU_SOURCE -DLZ_LIBDIR=\"/usr/lib\" -I$LZ_BUILDDIR -Isrc -Iinclude"
jobs=$(nproc)
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-analyze.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
asked=0

# each TOOL COMMAND...: runs the command for every source; any output is a finding.
each() {
  tool=$1
  shift
  command -v "$1" >/dev/null || { echo "not asked: $tool is missing"; return; }
  asked=1
  ls src/*/*.c src/cli/*/*.c | xargs -P "$jobs" -I{} sh -c '"$@" || echo "$0: findings in {}"' "$tool" "$@" >"$work/$tool" 2>&1
  # clang-tidy counts findings that it does not show.
  grep -vE '^[0-9]+ warnings? generated|^Suppressed|^Use -header-filter' "$work/$tool" >"$work/findings"
  if [ -s "$work/findings" ]; then cat "$work/findings"; echo "FAILED: $tool"; failed=1; else echo "$tool: no finding"; fi
}

# allocaCalled: the mark of a locked section must live as long as the function (lz_books_lock in
# src/accounting/books.h). The macro defines functions, which cppcheck cannot parse.
each cppcheck cppcheck -q --enable=warning,performance,portability --std=c11 --library=gnu --inline-suppr \
  --error-exitcode=1 --suppress=allocaCalled -D_GNU_SOURCE -D__x86_64__ '-DRB_GENERATE_INTERNAL(a,b,c,d,e)=' \
  -Isrc -Iinclude '{}'
each clang-tidy clang-tidy --quiet '{}' -- $flags
# The leak check loses track of blocks that are passed out through a pointer or by our own realloc;
# clang-tidy's checker does not, and the command's tests run under LeakSanitizer.
each fanalyzer gcc $flags -O1 -fanalyzer -Wno-analyzer-malloc-leak -c '{}' -o /dev/null
[ $asked = 1 ] || { echo 'no analyser is installed: cppcheck, clang-tidy, gcc'; exit 1; }
exit $failed
