#!/bin/sh
# Builds the fuzzer for libFuzzer with the instrumented library linked in, and runs it for FUZZ_SECONDS. New
# inputs go to fuzz-corpus in the build folder; settings come from the environment.
clang=${FUZZ_CLANG:-clang}
src=$LZ_SRCDIR
out=$LZ_BUILDDIR/fuzz-libfuzzer
corpus=$LZ_BUILDDIR/fuzz-corpus
flags="-std=gnu11 -D_GNU_SOURCE -O1 -g -fno-builtin -I$LZ_BUILDDIR -I$src/src -I$src/include"

command -v "$clang" >/dev/null || {
  echo "fuzz-libfuzzer: clang is missing; on Debian: apt-get install clang libclang-rt-14-dev (or FUZZ_CLANG=clang-N)"
  exit 1
}
work=$(mktemp -d "${TMPDIR:-/tmp}/lazyzero-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p == 0 && n; }' >"$work/try.c"
"$clang" -fsanitize=fuzzer "$work/try.c" -o "$work/try" 2>"$work/errors" || {
  echo "fuzz-libfuzzer: $clang cannot link with -fsanitize=fuzzer; on Debian: apt-get install libclang-rt-14-dev"
  head -n 3 "$work/errors"
  exit 1
}

cd "$work" || exit 1
find "$src/src" -name '*.c' ! -path '*/cli/*' | while read -r file; do
  object=$(echo "${file#"$src"/src/}" | tr / -)
  "$clang" $flags -fvisibility=hidden -fsanitize=fuzzer-no-link -c "$file" -o "$object.o" || exit 1
done || exit 1
for file in "$src"/tests/fuzz/*.c; do
  case $file in
  */main.c | */child.c | */shrink.c | */generate.c | */script.c) ;;
  *) "$clang" $flags -c "$file" -o "fuzz-$(basename "$file" .c).o" || exit 1 ;;
  esac
done
"$clang" $flags -c "$src/tests/fuzz/generate.c" -o fuzz-generate.o || exit 1
"$clang" -fsanitize=fuzzer -pthread ./*.o -o "$out" || exit 1

mkdir -p "$corpus"
cd "$LZ_BUILDDIR" || exit 1
export LAZYZERO_LOG=none LAZYZERO_BACKING="${LAZYZERO_BACKING:-auto}" LAZYZERO_BUDGET="${LAZYZERO_BUDGET:-1M}" \
  LAZYZERO_THRESHOLD="${LAZYZERO_THRESHOLD:-64K}" LAZYZERO_MALLOC_THRESHOLD="${LAZYZERO_MALLOC_THRESHOLD:-128K}"
exec "$out" -max_len=8000 -len_control=10 -timeout=60 -rss_limit_mb=4096 -max_total_time="${FUZZ_SECONDS:-600}" \
  -print_final_stats=1 "$corpus" "$src/tests/fuzz/corpus"
