#!/bin/sh
# stress-ng's stressors of memory and processes, each verifying what it reads: bare, preloaded, and preloaded
# with everything that can be on a zero window and a budget that nothing fits into. They must end alike and
# say the same.
. "$LZ_SRCDIR/tests/suites/lib.sh"
need stress-ng stress-ng

stressors='vm mmap mmapfork mremap madvise mprotect malloc bigheap brk shm shm-sysv vm-splice userfaultfd fork vfork clone'
# What each is given beside its time, so that it takes a few hundred MiB at most.
bound() {
  case $1 in
  vm) echo --vm-bytes 64M ;;
  bigheap) echo --bigheap-growth 4M --bigheap-ops 60 ;;
  malloc) echo --malloc-bytes 8M ;;
  vm-splice) echo --vm-splice-bytes 4M ;;
  mmap) echo --mmap-bytes 64M ;;
  mremap) echo --mremap-bytes 16M ;;
  esac
}

# What it says, without process numbers, times and the order of its processes.
said() {
  sed -E -e 's/\[[0-9]+\] ?//g' -e 's/ in [0-9.]+(s| secs).*//' -e '/setting to a/d' "$1" | LC_ALL=C sort -u
}

# stress NAME SECONDS OPTIONS...: the same three times.
stress() {
  name=$1
  seconds=$2
  shift 2
  for way in bare default window; do
    before=$suites/.libs/small_sysinfo.so
    # Some (mprotect, fork) ask for no more than pages.
    all=
    [ $way != window ] || all='env LAZYZERO_THRESHOLD=4K LAZYZERO_MALLOC_THRESHOLD=4K'
    run_way $way 240 $all stress-ng "$@" --timeout "$seconds" --verify --oomable --temp-path .
    for stream in output errors; do
      said "$work/$way.$stream" >"$work/said" && mv "$work/said" "$work/$way.$stream"
    done
  done
  ended_well
  known=$failed
  failed=0
  for way in default window; do compare $way; done
  if [ $failed -eq 0 ]; then failed=$known; else echo "by: stress-ng $name"; fi
  grep -hE 'fail|error' "$work/bare.errors" | sort -u | sed "s/^/$name, bare too: /"
}

# The option of a stressor this version knows, with its number.
known_options() {
  for stressor in "$@"; do
    if stress-ng --"$stressor" 0 --dry-run --temp-path "$work" >/dev/null 2>&1; then
      echo --"$stressor" 1 $(bound "$stressor")
    else
      echo "this stress-ng has no --$stressor" >&2
    fi
  done
}

if [ "$SUITES" = full ]; then
  for stressor in $stressors; do
    options=$(known_options "$stressor")
    [ -z "$options" ] || stress "$stressor" 10 $options
  done
else
  # Half of them at once, then the other half: two processors, and none is alone.
  stress 'first half' 3 $(known_options vm mmap madvise malloc brk shm fork clone)
  stress 'second half' 3 $(known_options mremap mprotect mmapfork bigheap shm-sysv vm-splice userfaultfd vfork)
fi
cat "$work/bare.output" "$work/bare.errors"
was_preloaded
exit $failed
