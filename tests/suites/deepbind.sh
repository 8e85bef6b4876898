#!/bin/sh
# Blocks of ours in the hands of glibc's own free, realloc and malloc_usable_size: plugins opened with RTLD_DEEPBIND
# (PHP with ffi, sssd, ODBC drivers), in a namespace of their own (dlmopen), and programs that call __libc_free.
# Sizes of one piece of a window and of many, at and off page boundaries.
. "$LZ_SRCDIR/tests/suites/lib.sh"
plugin=$suites/.libs/deepbind_plugin.so
tested=0

# check HOW CHECK SIZE
check() {
  run_with '' alone "$suites/deepbind" "$plugin" $1 $2 $3
  grep -qx 'status 0' "$work/alone" && ! grep -q wrong "$work/alone" || { echo "not tested: $*, which fails bare"; return; }
  tested=$((tested + 1))
  for setting in LAZYZERO_LOG=none LAZYZERO_BACKING=zeropage LAZYZERO_BACKING=window LAZYZERO_CACHE=0 \
    'LAZYZERO_BACKING=window LAZYZERO_CACHE=0'; do
    run_with "$LZ_LIBRARY" both env LAZYZERO_LOG=none $setting "$suites/deepbind" "$plugin" $1 $2 $3
    same "$*, $setting" alone both
  done
}
for what in frees grows shrinks tells-size frees-aligned takes mixes reuses; do
  for size in 1500000 4194304 67108864 100000001; do
    check deepbind $what $size
    check libc $what $size
  done
  # What is no mmapped chunk in one glibc is none in the other: from 32 MiB on, all are.
  check namespace $what 40000001
done
[ $tested -gt 40 ] || fail "only $tested checks could be made"

if command -v php >/dev/null && php -d ffi.enable=1 -r 'exit(class_exists("FFI") ? 0 : 1);' 2>/dev/null; then
  cat >"$work/ffi.php" <<'END_OF_PHP'
<?php
$libc = FFI::cdef("void *calloc(size_t, size_t); void *realloc(void *, size_t); void free(void *);
  size_t malloc_usable_size(void *); void *memset(void *, int, size_t);");
foreach ([1500000, 67108864, 100000001] as $size) {
  $p = $libc->calloc(1, $size);
  $libc->memset($p, 65, 4096);
  $p = $libc->realloc($p, 2 * $size);
  $bytes = FFI::cast("char *", $p);
  echo $bytes[4095], ord($bytes[4096]), " ", $libc->malloc_usable_size($p) >= 2 * $size ? "enough" : "too little", "\n";
  $libc->free($p);
  # Persistent memory is of php's own malloc; what ffi.so calls is glibc's, since php opens it with RTLD_DEEPBIND.
  foreach (["free", "realloc"] as $by) {
    $block = FFI::new("char[$size]", false, true);
    $block[$size - 1] = "x";
    $p = FFI::addr($block);
    echo $libc->malloc_usable_size($p) >= $size ? "enough" : "too little", "\n";
    if ($by == "realloc") {
      $p = $libc->realloc($p, 2 * $size);
      echo FFI::cast("char *", $p)[$size - 1], "\n";
    }
    $libc->free($p);
  }
}
echo strlen(str_repeat("large", 20000000)), "\n";
END_OF_PHP
  run_with '' alone php -d ffi.enable=1 -d memory_limit=-1 "$work/ffi.php"
  grep -qx 'status 0' "$work/alone" || { fail 'php, bare'; cat "$work/alone"; }
  for setting in LAZYZERO_LOG=none LAZYZERO_BACKING=window; do
    run_with "$LZ_LIBRARY" both env LAZYZERO_LOG=none $setting php -d ffi.enable=1 -d memory_limit=-1 "$work/ffi.php"
    same "php with ffi, $setting" alone both
  done
else
  echo 'not tested: php with ffi (Debian package php-cli)'
fi

# An audit library has a libc of its own, and sees every object and binding of ours.
if $CC -shared -fPIC -D_GNU_SOURCE -o "$work/audit.so" -x c - <<'END_OF_C'
#include <link.h>
#include <stdlib.h>
#include <string.h>
unsigned la_version(unsigned version) { return version; }
unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie)
{
	(void)map, (void)id, (void)cookie;
	char *block = calloc(1, 64 << 20);
	memset(block, 1, 1 << 20);
	free(realloc(block, 100 << 20));
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}
END_OF_C
then
  for program in "$suites/large_blocks" "$suites/deepbind $plugin libc mixes 67108864"; do
    run_with '' alone env LD_AUDIT="$work/audit.so" $program
    for setting in LAZYZERO_LOG=none LAZYZERO_BACKING=window; do
      run_with "$LZ_LIBRARY" both env LAZYZERO_LOG=none $setting LD_AUDIT="$work/audit.so" $program
      same "$program under LD_AUDIT, $setting" alone both
    done
  done
fi
exit $failed
