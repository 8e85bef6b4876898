#!/bin/sh
# make analyze: every source through cppcheck, clang-tidy (.clang-tidy) and gcc's -fanalyzer. No finding is left:
# what is none is suppressed where it stands, with the reason, or here. A few minutes; none of it runs in make check.
cd "$LZ_SRCDIR" || exit 1
flags="-std=gnu11 -D_GNU_SOURCE -DLZ_LIBDIR=\"/usr/lib\" -I$LZ_BUILDDIR -Isrc -Iinclude"
jobs=$(nproc)
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-analyze.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
asked=0

# each TOOL COMMAND...: the command for every source; what it says of one is a finding.
each() {
  tool=$1
  shift
  command -v "$1" >/dev/null || { echo "not asked: $tool is missing"; return; }
  asked=1
  ls src/*/*.c src/cli/*/*.c | xargs -P "$jobs" -I{} sh -c '"$@" || echo "$0: findings in {}"' "$tool" "$@" >"$work/$tool" 2>&1
  # clang-tidy counts what it does not show.
  grep -vE '^[0-9]+ warnings? generated|^Suppressed|^Use -header-filter' "$work/$tool" >"$work/findings"
  if [ -s "$work/findings" ]; then cat "$work/findings"; echo "FAILED: $tool"; failed=1; else echo "$tool: no finding"; fi
}

# allocaCalled: a section's mark has to live as long as the function (lz_books_lock in src/accounting/books.h).
# The macro is a generator of functions, which cppcheck cannot take apart.
each cppcheck cppcheck -q --enable=warning,performance,portability --std=c11 --library=gnu --inline-suppr \
  --error-exitcode=1 --suppress=allocaCalled -D_GNU_SOURCE -D__x86_64__ '-DRB_GENERATE_INTERNAL(a,b,c,d,e)=' \
  -Isrc -Iinclude '{}'
each clang-tidy clang-tidy --quiet '{}' -- $flags
# Of leaks it loses track where a block is handed out through a pointer or by our own realloc; clang-tidy's checker
# of the same does not, and the command's tests run under LeakSanitizer.
each fanalyzer gcc $flags -O1 -fanalyzer -Wno-analyzer-malloc-leak -c '{}' -o /dev/null
[ $asked = 1 ] || { echo 'no analyser is installed: cppcheck, clang-tidy, gcc'; exit 1; }
exit $failed
