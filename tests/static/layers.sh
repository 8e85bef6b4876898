#!/bin/sh
# Checks the order of the folders of src/, which is defined here; that files have no cyclic dependencies; and the number
# of headers that a file includes.
#
# A file depends on another if it includes its header or, in the built objects, refers to one of its symbols. A folder
# may depend on itself and on the folders below it. A function that a higher folder registers is called through a
# pointer, which is not a dependency. Neither headers nor objects may depend on one another in a cycle, not even within
# a folder.
#
# The folder of a subcommand in src/cli may depend on the shared folders of src/cli and on what the file formats need,
# but on no other subcommand. main.c depends on all of them.
source=${LZ_SRCDIR:-.}
build=${LZ_BUILDDIR:-.}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

# As in jemalloc, where 62 of 70 files include at most 8 of its headers. core.c, which connects the rooms, is exempt.
most_headers=8

below_cli='base os support pagetables sites lazyzero'

# below FOLDER: prints the folders that a folder may depend on besides itself; fails for an unknown folder.
below() {
  case $1 in
  base) echo 'lazyzero' ;;
  os) echo "$(below base) base" ;;
  support) echo "$(below os) os" ;;
  pagetables) echo "$(below support) support" ;;
  accounting) echo "$(below pagetables) pagetables" ;;
  backing) echo "$(below accounting) accounting" ;;
  backing/window) echo "$(below backing) backing" ;;
  cache) echo "$(below backing) backing" ;;
  budget) echo "$(below cache) cache" ;;
  sites) echo "$(below accounting) accounting" ;;
  zeroing) echo "$(below backing) backing" ;;
  heap) echo "$(below budget) budget sites zeroing" ;;
  calls) echo "$(below budget) budget sites zeroing" ;;
  core) echo "$(below heap) heap calls backing/window" ;;
  shim) echo "$(below core) core" ;;
  cli) echo "$below_cli $(cd "$source/src" && echo cli/*/ | sed 's|/ | |g; s|/$||')" ;;
  cli/common) echo "$below_cli" ;;
  cli/process) echo "$below_cli cli/common" ;;
  cli/inspect) echo "$below_cli cli/common cli/process" ;;
  cli/launch) echo "$below_cli cli/common cli/process" ;;
  cli/record) echo "$below_cli cli/common cli/process cli/launch" ;;
  cli/report | cli/run) echo "$below_cli cli/common cli/process cli/launch cli/record cli/inspect" ;;
  cli/collapse | cli/compare | cli/completion | cli/cost | cli/doctor | cli/env | cli/metrics | cli/plot | \
    cli/stat | cli/top) echo "$below_cli cli/common cli/process cli/launch cli/record" ;;
  # A separate program that the build runs to generate the manual page.
  cli/manual) echo "$below_cli" ;;
  *) return 1 ;;
  esac
}

# is_exempt FILE USED: dependencies in the wrong direction: the list of backings refers to the table of each backing.
is_exempt() {
  case "$1 $2" in
  'backing/backings.c backing/window/strategy.c') return 0 ;;
  *) return 1 ;;
  esac
}

# includes ROOT: prints a line "FILE USED" for each include of a header of the project. Names are relative to src/.
includes() {
  (cd "$1/src" && find . -name '*.[ch]' -exec grep -HE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} +) |
    sed -e 's|^\./\([^:]*\):.*"\(.*\)".*|\1 \2|' -e '/ config\.h$/d'
}

# symbols: reads "FILE TYPE SYMBOL" (with the type of nm), prints "FILE USED" for each symbol that another file defines.
# Only names of the project count, because the library also defines functions of libc (malloc).
symbols() {
  awk '$3 !~ /^_*lz_/ { next }
    $2 != "U" && $2 != "w" { defined[$3] = $1; next }
    $2 == "U" { user[++n] = $1; used[n] = $3 }
    END { for (i = 1; i <= n; i++) if (used[i] in defined) print user[i], defined[used[i]] }'
}

# objects: prints the global symbols of the library's and the command's objects, in the form that `symbols` reads.
objects() {
  (cd "$source/src" && find . -name '*.c') | sed 's|^\./\(.*\)\.c$|\1|' | while read -r file; do
    folder=${file%/*}
    name=${file##*/}
    case $file in
    cli/manual/*) continue ;;
    cli/*) object=$folder/lazyzero-$name.o ;;
    shim/*) object=$folder/liblazyzero_la-$name.o ;;
    *) object=$folder/$name.o ;;
    esac
    # libtool stores the objects of shared libraries in .libs.
    [ -f "$build/src/$object" ] || object=$folder/.libs/${object##*/}
    nm -g "$build/src/$object" | awk -v file="$file.c" 'NF >= 2 { print file, $(NF - 1), $NF }'
  done
}

# check FILE: checks that the dependencies in the file, each "FILE USED", follow the order and have no cycle. Prints
# each violation and fails if there is one.
check() {
  violations=0
  while read -r user used; do
    case $user in */*) folder=${user%/*} ;; *) folder=. ;; esac
    case $used in
    */*) target=${used%/*} ;;
    *) target=${used%.h} ;;
    esac
    [ "$target" != "$folder" ] || continue
    allowed=$(below "$folder") || { echo "src/$folder: unknown folder; add it to $0"; violations=1; continue; }
    case " $allowed " in
    *" $target "*) ;;
    *)
      is_exempt "$user" "$used" ||
        { echo "src/$user uses $used, but $folder may use only: $folder $allowed"; violations=1; }
      ;;
    esac
  done <"$1"
  find_cycles "$1"
  return $violations
}

# find_cycles FILE: sets $violations if the dependencies in the file have a cycle, and prints the cycle.
find_cycles() {
  awk '$1 != $2' "$1" | tsort >/dev/null 2>"$work/cycles" || violations=1
  if [ -s "$work/cycles" ]; then
    echo "a cycle of files in src:"
    sed 's/^tsort: -: */  /; s/^tsort: */  /' "$work/cycles"
    violations=1
  fi
}

# count_headers ROOT: prints each .c file that includes more headers of the project than $most_headers.
count_headers() {
  (cd "$1/src" && find . -name '*.c' ! -path './core/*' \
    -exec grep -cHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} +) |
    awk -F: -v most="$most_headers" '$2 > most { print "src/" substr($1, 3) " includes " $2 " headers, more than " most }'
}

# --- self-test: the checks detect each kind of error in a small tree ---

# finds WHAT PATTERN: fails the test unless `check` reports the dependencies in $work/made with a matching line.
finds() {
  if check "$work/made" >"$work/found" || ! grep -q -e "$2" "$work/found"; then
    echo "$0: does not detect $1"
    cat "$work/found"
    exit 1
  fi
}

tree=$work/tree/src
mkdir -p "$tree/os" "$tree/cache" "$tree/heap" "$tree/cli/common" "$tree/cli/cost" "$tree/cli/stat"
echo '#include "heap/heap.h"' >"$tree/cache/cache.c"
includes "$work/tree" >"$work/made"
finds 'an include of a higher folder' '^src/cache/cache.c uses heap/heap'
echo '#include "cli/stat/print.h"' >"$tree/cli/cost/cost.c"
includes "$work/tree" >"$work/made"
finds 'an include of another subcommand' '^src/cli/cost/cost.c uses cli/stat/print'
printf '%s\n' '# include "os/b.h"' >"$tree/os/a.h"
printf '%s\n' '#include "os/a.h"' >"$tree/os/b.h"
echo >"$tree/cli/cost/cost.c"
echo >"$tree/cache/cache.c"
includes "$work/tree" >"$work/made"
finds 'a cycle of includes' 'os/a.h$'
echo >"$tree/os/b.h"
includes "$work/tree" >"$work/made"
check "$work/made" >"$work/found" || { echo "$0: reports an error where there is none"; cat "$work/found"; exit 1; }
printf '%s\n' 'os/b.c T lz_b' 'os/b.c U lz_a' 'os/b.c U malloc' 'os/a.c T lz_a' 'os/a.c U lz_b' | symbols >"$work/made"
finds 'a cycle of calls' 'os/b.c$'
printf '%s\n' 'cache/cache.c U lz_run' 'heap/heap.c D lz_run' | symbols >"$work/made"
finds 'a call of a higher folder' '^src/cache/cache.c uses heap/heap'
i=0
while [ $i -le $most_headers ]; do
  echo "#include \"os/h$i.h\"" >>"$tree/heap/heap.c"
  i=$((i + 1))
done
[ "$(count_headers "$work/tree")" = "src/heap/heap.c includes 9 headers, more than 8" ] ||
  { echo "$0: does not count headers"; exit 1; }

# --- check of the source tree ---

status=0
includes "$source" >"$work/includes"
(cd "$source/src" && find . -mindepth 1 -type d) | sed 's|^\./||' | while read -r folder; do
  below "$folder" >/dev/null || echo "src/$folder: unknown folder; add it to $0"
done >"$work/unknown"
[ ! -s "$work/unknown" ] || { cat "$work/unknown"; status=1; }
if command -v nm >/dev/null; then
  objects >"$work/objects"
  symbols <"$work/objects" >"$work/symbols"
  [ "$(wc -l <"$work/symbols")" -gt 500 ] || { echo "too few symbols found: are the objects in $build?"; exit 1; }
else
  echo 'skipped: dependencies by symbol: nm is missing'
  : >"$work/symbols"
fi
for uses in includes symbols; do check "$work/$uses" || status=1; done
count_headers "$source" >"$work/many"
[ ! -s "$work/many" ] || { cat "$work/many"; status=1; }
echo "$(wc -l <"$work/includes") includes and $(wc -l <"$work/symbols") uses of symbols checked"
[ "$(wc -l <"$work/includes")" -gt 300 ] || { echo 'too few includes found: is this the source tree?'; exit 1; }

# Only src/os makes system calls, and the interposers, which pass them on.
(cd "$source/src" && find . -name '*.[ch]' ! -path './os/*' ! -path './shim/*' ! -path './cli/*' -exec grep -nH '' {} +) |
  sed -e 's|/\*.*||' -e '/^[^:]*:[0-9]*:[[:space:]]*\*/d' | grep -E \
  '(^|[^_a-z>.])(mmap|munmap|mremap|mprotect|madvise|open|openat|read|write|close|ioctl|syscall)\(' |
  sed 's|^\./|src/|; s|$|: a system call outside src/os|' >"$work/calls"
[ ! -s "$work/calls" ] || { cat "$work/calls"; status=1; }
exit $status
