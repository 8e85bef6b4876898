#!/bin/sh
# What is kept of freed memory: every check of cached_regions.c, bare, with default settings, above other allocators, on the zero
# window, and where it does not last long; then in control groups that it must not fill.
. "$LZ_SRCDIR/tests/probe/lib.sh"

timeout $hang "$probes/cached_regions" 2>"$work/errors" || { fail "cached_regions without lazyzero"; head -n 10 "$work/errors"; }
for settings in '' LAZYZERO_BACKING=window LAZYZERO_BUDGET=16K LAZYZERO_CACHE=16M LAZYZERO_CACHE=0 \
  LAZYZERO_THP=never LAZYZERO_THP=always; do
  for place in main thread fork; do
    run LAZYZERO_LOG=none $settings PROBE_WHERE=$place "$probes/cached_regions" 2>"$work/errors" ||
      { fail "cached_regions in $place with $settings: status $?"; head -n 10 "$work/errors"; }
  done
done
for settings in '' LAZYZERO_BACKING=window; do
  run LAZYZERO_LOG=none $settings "$probes/cached_regions" idle 2>"$work/errors" ||
    { fail "small requests after a large one, $settings"; head -n 10 "$work/errors"; }
done

# grouped MIB WHAT...: bare and preloaded in a group of that size.
grouped() {
  make_group $(($1 << 20)) || { echo "not tested: cached_regions $2 in a control group: none can be made here"; return; }
  shift
  in_group "$probes/cached_regions" "$@" >"$work/output" 2>&1 || fail "cached_regions $* without lazyzero: $(head -n 5 "$work/output")"
  for settings in '' LAZYZERO_BACKING=window; do
    in_group env LAZYZERO_LOG=none $settings LD_PRELOAD="$LZ_LIBRARY" "$probes/cached_regions" "$@" >"$work/output" 2>&1 ||
      fail "cached_regions $*, $settings: $(head -n 5 "$work/output")"
  done
  sleep 0.2
  remove_group
}

grouped 256 sibling
grouped 256 sibling 10
grouped 512 prefork 12 60
grouped 512 prefork 12 60 write
exit $failed
