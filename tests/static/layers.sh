#!/bin/sh
# Includes point down only: base <- os <- support <- core <- shim, and cli beside shim. Public headers stand below
# everything.
cd "${LZ_SRCDIR:-.}" || exit 1

# What each layer may include.
below() {
  case $1 in
  base) echo 'base' ;;
  os) echo 'base os' ;;
  support) echo 'base os support' ;;
  core) echo 'base os support core lazyzero' ;;
  shim) echo 'base os support core shim lazyzero' ;;
  cli) echo 'base os support core cli lazyzero' ;;
  *) echo "layers: src/$1 is no known layer: give it a place in $0" >&2; return 1 ;;
  esac
}

status=0
count=0
for file in src/*/*.[ch] src/cli/*/*.[ch]; do
  layer=${file#src/}
  layer=${layer%%/*}
  allowed=$(below "$layer") || exit 1
  for header in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file"); do
    count=$((count + 1))
    case $header in
    config.h) continue ;;
    lazyzero.h) target=lazyzero ;;
    */*) target=${header%%/*} ;;
    *)
      echo "$file: includes \"$header\": write it with its folder, from src/"
      status=1
      continue
      ;;
    esac
    case " $allowed " in
    *" $target "*) ;;
    *)
      echo "$file: includes \"$header\", but $layer may include only: $allowed"
      status=1
      ;;
    esac
  done
  case $layer in
  base | support | core)
    # System calls are made in os alone.
    if grep -nE '(^|[^_a-z>.])(mmap|munmap|mremap|mprotect|madvise|open|openat|read|write|close|ioctl|syscall)\(' "$file" |
      grep -vE '^[0-9]+:[[:space:]]*(\*|/\*|//)'; then
      echo "$file: a system call outside src/os"
      status=1
    fi
    ;;
  esac
done
echo "$count includes looked at"
[ "$count" -gt 50 ] || { echo "too few: is this the source tree?"; exit 1; }
exit $status
