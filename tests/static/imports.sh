#!/bin/sh
# The library leans on libc alone, and of that on nothing that allocates, buffers, translates or takes a lock we do not
# know: a list of what it may import, so that anything new is looked at. __register_atfork (weak) may allocate and takes a lock
# of its own: it is called at start-up, or before the first MADV_WIPEONFORK, with no lock of ours.
command -v nm >/dev/null || { echo "skipped: nm (binutils) is missing"; exit 77; }
[ -f "$LZ_LIBRARY" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }

allowed='
_ITM_deregisterTMCloneTable _ITM_registerTMCloneTable __cxa_finalize __gmon_start__ __stack_chk_fail __tls_get_addr
__errno_location abort environ __environ clock_gettime getauxval _dl_find_object dladdr dladdr1 dlclose dlerror dlopen dlsym malloc calloc realloc free memalign aligned_alloc posix_memalign valloc pvalloc sched_yield sigaction strerrordesc_np
memchr memcmp memcpy memmove memset strchr strcmp strcspn strlen strncmp strnlen strrchr strstr
__asan_init __tsan_init __msan_init __lsan_init __hwasan_init _Znwm _Znam _ZdlPv _ZdaPv _ZdlPvm _ZdaPvm
__register_atfork
__memcpy_chk __memmove_chk __memset_chk
'
# Where the library makes its system calls itself, libc's function, which it interposes, is not for it to call.
case $(uname -m) in x86_64 | aarch64) ;; *) allowed="$allowed syscall" ;; esac
status=0
for symbol in $(nm -D --undefined-only "$LZ_LIBRARY" | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u); do
  case " $(echo $allowed) " in
  *" $symbol "*) ;;
  *)
    echo "imports $symbol, which is not on the list in $0"
    status=1
    ;;
  esac
done
# musl programs that inherit LD_PRELOAD must start: what musl lacks is imported weakly. It comes with symbols of its own.
musl=
for file in /lib/ld-musl-*.so.1 /usr/lib/musl/lib/libc.so; do [ ! -f "$file" ] || musl=$file; done
if [ -n "$musl" ]; then
  nm -D --defined-only "$musl" | awk '{ print $NF }' | sort -u >musl-symbols.tmp
  for symbol in $(nm -D --undefined-only "$LZ_LIBRARY" | awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' | sort -u); do
    grep -qxF "$symbol" musl-symbols.tmp || { echo "imports $symbol, which musl lacks, not weakly"; status=1; }
  done
  [ "$(wc -l <musl-symbols.tmp)" -gt 1000 ] || { echo "no symbols read from $musl"; status=1; }
  rm -f musl-symbols.tmp
else
  echo 'not looked at: what musl lacks (Debian package musl)'
fi
if command -v readelf >/dev/null; then
  needed=$(readelf -d "$LZ_LIBRARY" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^(libc\.so|ld-linux|ld64)' )
  [ -z "$needed" ] || { echo "needs more than libc: $needed"; status=1; }
  # TLS that is not initial-exec would be allocated, with malloc, at its first use.
  readelf -rW "$LZ_LIBRARY" | grep -E 'DTPMOD|TLSDESC' && { echo "TLS is not initial-exec"; status=1; }
fi
exit $status
