#!/bin/sh
# What the user asks of glibc's malloc, and what programs ask it, holds for our blocks too: GLIBC_TUNABLES, mallinfo,
# malloc_stats.
. "$LZ_SRCDIR/tests/suites/lib.sh"

run_with '' alone "$suites/mallinfo"
run_with "$LZ_LIBRARY" both "$suites/mallinfo"
for name in alone both; do
  grep -qx done "$work/$name" && ! grep -q wrong "$work/$name" || { fail "mallinfo, $name"; cat "$work/$name"; }
done
grep -qx 'lazyzero: 3 regions, [0-9]* bytes; 0 bytes kept for reuse' "$work/both" || { fail 'malloc_stats'; cat "$work/both"; }
grep -qx 'lazyzero: 0 regions, 0 bytes; 0 bytes kept for reuse' "$work/both" || { fail 'malloc_stats after malloc_trim'; cat "$work/both"; }
# What glibc prints comes first, as it is.
sed '/^lazyzero:/d' "$work/both" | cut -d = -f 1 >"$work/both-names"
cut -d = -f 1 "$work/alone" >"$work/alone-names"
same 'malloc_stats' alone-names both-names
run_with "$LZ_LIBRARY" disabled env LAZYZERO_DISABLE=1 "$suites/mallinfo"
! grep -q lazyzero "$work/disabled" || { fail 'malloc_stats, disabled'; cat "$work/disabled"; }

# told BYTES EXPECTED SETTING...: what stands behind a block of that size, and how many notes there are.
told() {
  bytes=$1
  expected=$2
  shift 2
  run_with "$LZ_LIBRARY" told env "$@" "$suites/mallinfo" huge $bytes
  found="$(grep -v '^lazyzero\|^status' "$work/told" | tr '\n' ' ')$(grep -c '^lazyzero.*GLIBC_TUNABLES' "$work/told")"
  [ "$found" = "$expected" ] || { fail "$*: expected \"$expected\", got \"$found\""; cat "$work/told"; }
}
set_to() {
  echo "GLIBC_TUNABLES=$1"
}
huge=glibc.malloc.hugetlb
told 67108864 'inherit ours 0' "$(set_to '')"
told 67108864 'inherit ours 0' "$(set_to $huge=0)"
told 67108864 'huge ours 0' "$(set_to $huge=1)"
told 67108864 'huge ours 0' "$(set_to glibc.malloc.check=0:$huge=0:$huge=1:glibc.malloc.perturb=0)"
told 67108864 'inherit ours 0' "$(set_to $huge=1:$huge=0)"
told 67108864 'never ours 1' "$(set_to $huge=1)" LAZYZERO_THP=never
told 67108864 'inherit ours 1' "$(set_to $huge=1)" LAZYZERO_THP=inherit
told 67108864 'huge ours 0' "$(set_to $huge=1)" LAZYZERO_THP=always
told 67108864 'huge ours 0' "$(set_to $huge=1)" LAZYZERO_THP=nonsense
told 67108864 "inherit glibc's 0" "$(set_to $huge=2)" LAZYZERO_DISABLE=1
# A size that the machine has no pages of is none to glibc.
told 67108864 'inherit ours 0' "$(set_to $huge=12345)"
if grep -q '^Hugepagesize:' /proc/meminfo; then
  told 67108864 "inherit glibc's 1" "$(set_to $huge=2)"
  told 67108864 'never ours 1' "$(set_to $huge=2)" LAZYZERO_THP=never
else
  told 67108864 'inherit ours 0' "$(set_to $huge=2)"
  echo "not tested: $huge=2, without hugetlb pages"
fi
for size in /sys/kernel/mm/hugepages/hugepages-*kB; do
  [ -d "$size" ] || continue
  size=${size##*-}
  told 67108864 "inherit glibc's 1" "$(set_to $huge=$((${size%kB} * 1024)))"
done
exit $failed
