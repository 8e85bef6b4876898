#!/bin/sh
# The library depends on libc alone, and on no function of libc that allocates, buffers, translates or takes an unknown
# lock. The list below names all imports, so that a new one is noticed. __register_atfork (weak) may allocate and takes a
# lock of its own. It is called at start-up, or before the first MADV_WIPEONFORK, while we hold no lock.
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
# Where the library makes system calls by inline instructions, it must not call libc's syscall, which it interposes.
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
# Programs that use musl and inherit LD_PRELOAD must start, so symbols that musl lacks must be weak imports.
musl=
for file in /lib/ld-musl-*.so.1 /usr/lib/musl/lib/libc.so; do [ ! -f "$file" ] || musl=$file; done
if [ -n "$musl" ]; then
  nm -D --defined-only "$musl" | awk '{ print $NF }' | sort -u >musl-symbols.tmp
  for symbol in $(nm -D --undefined-only "$LZ_LIBRARY" | awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' | sort -u); do
    grep -qxF "$symbol" musl-symbols.tmp || { echo "imports $symbol, which musl lacks; the import must be weak"; status=1; }
  done
  [ "$(wc -l <musl-symbols.tmp)" -gt 1000 ] || { echo "no symbols read from $musl"; status=1; }
  rm -f musl-symbols.tmp
else
  echo 'skipped: imports that musl lacks: musl is missing (Debian package musl)'
fi
if command -v readelf >/dev/null; then
  needed=$(readelf -d "$LZ_LIBRARY" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^(libc\.so|ld-linux|ld64)' )
  [ -z "$needed" ] || { echo "depends on more than libc: $needed"; status=1; }
  # TLS of another model than initial-exec would be allocated with malloc at its first use.
  readelf -rW "$LZ_LIBRARY" | grep -E 'DTPMOD|TLSDESC' && { echo "TLS is not initial-exec"; status=1; }
fi
exit $status
