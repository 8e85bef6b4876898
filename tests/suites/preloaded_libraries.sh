#!/bin/sh
# Other libraries that are preloaded for what they do: libeatmydata, libfaketime, fakeroot, stdbuf. Together with us, in
# either order, each still does it, and large blocks are what they are.
. "$LZ_SRCDIR/tests/suites/lib.sh"
tested=0
run_with '' plain "$suites/large_blocks"
grep -qx 'status 0' "$work/plain" || { fail 'large, bare'; cat "$work/plain"; }

# One whose constructor comes before ours, with a lock of the C library held.
for order in "$LZ_LIBRARY $suites/.libs/bindtextdomain_allocation.so" "$suites/.libs/bindtextdomain_allocation.so $LZ_LIBRARY"; do
  run_with "$order" large timeout 30 "$suites/large_blocks"
  same "a first allocation inside bindtextdomain, with LD_PRELOAD=\"$order\"" plain large
done

# together NAME LIBRARY PACKAGE ENVIRONMENT COMMAND...: the command says the same with the library alone and with both,
# and another thing without it.
together() {
  name=$1
  library=$2
  package=$3
  settings=$4
  shift 4
  if ! loads "$library"; then
    echo "not tested: $name is missing (Debian package $package)"
    return
  fi
  run_with '' without env $settings "$@"
  run_with "$library" bare env $settings "$@"
  cmp -s "$work/without" "$work/bare" && { fail "$name does nothing by itself"; cat "$work/bare"; }
  for order in "$LZ_LIBRARY $library" "$library $LZ_LIBRARY"; do
    run_with "$order" both env $settings "$@"
    same "$name, with LD_PRELOAD=\"$order\"" bare both
    run_with "$order" large env $settings LAZYZERO_BACKING=window LAZYZERO_THRESHOLD=64K "$suites/large_blocks"
    same "large blocks, with LD_PRELOAD=\"$order\"" plain large
  done
  tested=$((tested + 1))
}

# Nothing is synchronised, so even what cannot be is.
python=/usr/bin/python3
[ -x $python ] || python=python3
if command -v $python >/dev/null; then
  together libeatmydata libeatmydata.so libeatmydata1 '' $python -c 'import os; print(os.fsync(os.pipe()[1]))'
fi
for faketime in /usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1 libfaketime.so.1; do
  [ ! -e "$faketime" ] || break
done
together libfaketime "$faketime" libfaketime FAKETIME=-9000d date +%Y

if command -v fakeroot >/dev/null; then
  echo 'touch $1; chown 4321:1234 $1 2>&1; stat -c %u:%g $1; rm $1' >"$work/chown"
  # Nobody's own rights would not do.
  as_nobody=
  if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    as_nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
    chmod 777 "$work"
  fi
  run_with '' bare $as_nobody fakeroot sh "$work/chown" "$work/owned"
  grep -q 4321:1234 "$work/bare" || fail 'fakeroot does nothing by itself'
  run_with "$LZ_LIBRARY" both $as_nobody fakeroot sh "$work/chown" "$work/owned"
  same 'fakeroot, started preloaded' bare both
  run_with '' both $as_nobody fakeroot sh -c "LD_PRELOAD=\"$LZ_LIBRARY:\$LD_PRELOAD\" sh $work/chown $work/owned"
  same 'fakeroot behind us' bare both
  run_with '' both $as_nobody fakeroot sh -c "LD_PRELOAD=\"\$LD_PRELOAD:$LZ_LIBRARY\" sh $work/chown $work/owned"
  same 'fakeroot before us' bare both
  run_with "$LZ_LIBRARY" large $as_nobody fakeroot "$suites/large_blocks"
  same 'large blocks under fakeroot' plain large
  tested=$((tested + 1))
else
  echo 'not tested: fakeroot is missing (Debian package fakeroot)'
fi

# Line by line, what is said comes before the error; at once, after it. stdbuf puts its library behind what is there.
if command -v stdbuf >/dev/null; then
  cat >"$work/order" <<'END'
{
  echo said
  for attempt in $(seq 20); do [ -s "$1" ] && break; sleep 0.1; done
  echo error >&2
} | $2 $3 cut -c 1-
END
  run_with '' without sh "$work/order" "$work/without"
  run_with '' bare sh "$work/order" "$work/bare" stdbuf -oL
  run_with "$LZ_LIBRARY" both sh "$work/order" "$work/both" stdbuf -oL
  cmp -s "$work/without" "$work/bare" && { fail 'stdbuf does nothing by itself'; cat "$work/bare"; }
  same 'stdbuf' bare both
  run_with "$LZ_LIBRARY" large stdbuf -o0 "$suites/large_blocks"
  same 'large blocks under stdbuf' plain large
  tested=$((tested + 1))
fi
[ $tested -gt 0 ] || { echo 'skipped: none of libeatmydata, libfaketime, fakeroot, stdbuf is here'; exit 77; }
echo "$tested neighbours"
exit $failed
