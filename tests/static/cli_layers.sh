#!/bin/sh
# The order of the folders in src/cli, and no cycle of files.
#
# A subcommand's folder uses itself, the shared folders below it and, outside cli, base, os, support and core
# (layers.sh checks those), but no other subcommand's folder. main.c uses all of them. X.c and X.h count as one file,
# and a file depends on another if it includes its header or, in the built objects, refers to one of its symbols.
source=${LZ_SRCDIR:-.}
build=${LZ_BUILDDIR:-.}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

# below FOLDER: the folders of src/cli that a folder may use besides itself; fails for an unknown one.
below() {
  case $1 in
  common) ;;
  process) echo 'common' ;;
  launch) echo 'common process' ;;
  record) echo 'common process launch' ;;
  compare | completion | cost | doctor | env | metrics | plot | report | run | stat | top)
    echo 'common process launch record'
    ;;
  # A program of its own, which the build runs for the manual page.
  manual) ;;
  *) return 1 ;;
  esac
}

# includes ROOT: a line "FILE USED" for each include of a header of cli. Names lack src/cli/ and the suffix.
includes() {
  (cd "$1/src/cli" && grep -E '^[[:space:]]*#[[:space:]]*include[[:space:]]*"cli/' ./*.[ch] ./*/*.[ch] /dev/null) |
    sed 's|^\./\(.*\)\.[ch]:.*"cli/\(.*\)\.h".*|\1 \2|'
}

# symbols: reads "FILE TYPE SYMBOL" (as nm has the type), prints "FILE USED" for each symbol that another file defines.
symbols() {
  awk '$2 != "U" && $2 != "w" { defined[$3] = $1; next }
    $2 == "U" { user[++n] = $1; used[n] = $3 }
    END { for (i = 1; i <= n; i++) if (used[i] in defined) print user[i], defined[used[i]] }'
}

# objects: the global symbols of lazyzero's objects in the build tree, as `symbols` reads them.
objects() {
  for path in "$source"/src/cli/*.c "$source"/src/cli/*/*.c; do
    file=${path#"$source"/src/cli/}
    file=${file%.c}
    case $file in
    manual/*) continue ;;
    */*) object=${file%/*}/lazyzero-${file#*/}.o ;;
    *) object=lazyzero-$file.o ;;
    esac
    nm -g "$build/src/cli/$object" | awk -v file="$file" 'NF >= 2 { print file, $(NF - 1), $NF }'
  done
}

# check FILE: the dependencies in the file, each "FILE USED", keep the order and have no cycle. Prints what is wrong.
check() {
  wrong=0
  while read -r user used; do
    folder=${user%/*}
    [ "$folder" != "$user" ] || continue # main.c
    target=${used%/*}
    [ "$target" != "$folder" ] || continue
    allowed=$(below "$folder") || { echo "src/cli/$folder: an unknown folder; add it to $0"; wrong=1; continue; }
    case " $allowed " in
    *" $target "*) ;;
    *) echo "src/cli/$user uses $used, but $folder may use only: $folder $allowed"; wrong=1 ;;
    esac
  done <"$1"
  awk '$1 != $2' "$1" | tsort >/dev/null 2>"$work/cycles" || wrong=1
  if [ -s "$work/cycles" ]; then
    echo "a cycle of files in src/cli:"
    sed 's/^tsort: -: */  /; s/^tsort: */  /' "$work/cycles"
    wrong=1
  fi
  return $wrong
}

# --- the checks find what they look for: a small tree with each kind of error ---

# finds WHAT PATTERN: the dependencies in $work/made are reported with that text.
finds() {
  if check "$work/made" >"$work/found" || ! grep -q -e "$2" "$work/found"; then
    echo "$0: does not find $1"
    cat "$work/found"
    exit 1
  fi
}

mkdir -p "$work/tree/src/cli/common" "$work/tree/src/cli/cost" "$work/tree/src/cli/stat"
tree=$work/tree/src/cli
echo '#include "cli/stat/print.h"' >"$tree/cost/cost.c"
echo '#include "cli/common/json.h"' >"$tree/stat/print.h"
echo '#include "cli/stat/print.h"' >"$tree/main.c"
includes "$work/tree" >"$work/made"
finds 'an include of another subcommand' '^src/cli/cost/cost uses stat/print'
printf '%s\n' '# include "cli/common/b.h"' >"$tree/common/a.h"
printf '%s\n' '#include "cli/common/a.h"' >"$tree/common/b.c"
echo >"$tree/cost/cost.c"
includes "$work/tree" >"$work/made"
finds 'a cycle of includes' 'common/a$'
echo >"$tree/common/b.c"
includes "$work/tree" >"$work/made"
check "$work/made" >"$work/found" || { echo "$0: reports an error where there is none"; cat "$work/found"; exit 1; }
printf '%s\n' 'common/b T lz_b' 'common/b U lz_a' 'common/b U malloc' 'common/a T lz_a' | symbols >>"$work/made"
finds 'a cycle of an include and a call' 'common/b$'
printf '%s\n' 'process/tree U lz_run' 'run/run D lz_run' | symbols >"$work/made"
finds 'a call of a higher folder' '^src/cli/process/tree uses run/run'

# --- the tree ---

status=0
includes "$source" >"$work/includes"
for folder in "$source"/src/cli/*/; do
  folder=$(basename "$folder")
  below "$folder" >/dev/null || { echo "src/cli/$folder: an unknown folder; add it to $0"; status=1; }
done
if command -v nm >/dev/null; then
  objects >"$work/objects"
  symbols <"$work/objects" >"$work/symbols"
  [ "$(wc -l <"$work/symbols")" -gt 50 ] || { echo "too few symbols: are the objects of lazyzero in $build?"; exit 1; }
else
  echo 'nm is missing: calls are not checked'
  : >"$work/symbols"
fi
sort -u "$work/includes" "$work/symbols" >"$work/all"
check "$work/all" || status=1
echo "$(wc -l <"$work/includes") includes and $(wc -l <"$work/symbols") uses of symbols checked"
[ "$(wc -l <"$work/includes")" -gt 100 ] || { echo 'too few: is this the source tree?'; exit 1; }
exit $status
