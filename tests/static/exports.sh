#!/bin/sh
# The library exports exactly the symbols of its list, and the list contains exactly the symbols documented here.
command -v nm >/dev/null || { echo "skipped: nm (binutils) is missing"; exit 77; }
[ -f "$LZ_LIBRARY" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }

documented='malloc calloc realloc reallocarray free free_sized free_aligned_sized malloc_usable_size
memalign aligned_alloc posix_memalign valloc pvalloc mmap mmap64 munmap mremap mprotect madvise mincore ioctl shmat shmdt'
# Other calls that change memory or its properties.
documented="$documented pkey_mprotect mlock mlock2 mlockall mbind process_madvise setrlimit setrlimit64 prlimit prlimit64
prctl"
# Functions that clear memory.
documented="$documented memset bzero explicit_bzero __memset_chk __explicit_bzero_chk"
# Functions that end the process without destructors.
documented="$documented _exit _Exit"
# Calls after which the kernel may still read pages; and syscall, on architectures with an implementation of it.
documented="$documented vmsplice setsockopt"
optional=
case $(uname -m) in x86_64 | aarch64) documented="$documented syscall" ;; *) optional=syscall ;; esac
# Functions of other allocators that take a block, but none whose presence would announce such an allocator.
documented="$documented __libc_free __libc_realloc malloc_trim mallinfo mallinfo2 malloc_stats dallocx sdallocx rallocx xallocx sallocx
mi_free mi_cfree mi_free_size mi_free_size_aligned mi_free_aligned mi_usable_size mi_malloc_size mi_malloc_usable_size
mi_expand mi_realloc mi_reallocf mi_reallocn mi_reallocarray mi_rezalloc mi_recalloc mi_realloc_aligned
mi_reallocarr mi_new_realloc mi_new_reallocn
mi_rezalloc_aligned mi_recalloc_aligned mi_aligned_recalloc
mi_realloc_aligned_at mi_rezalloc_aligned_at mi_recalloc_aligned_at mi_aligned_offset_recalloc
mi_heap_realloc mi_heap_reallocf mi_heap_rezalloc mi_heap_reallocn mi_heap_recalloc
mi_heap_realloc_aligned mi_heap_rezalloc_aligned mi_heap_recalloc_aligned
mi_heap_realloc_aligned_at mi_heap_rezalloc_aligned_at mi_heap_recalloc_aligned_at
tc_free tc_cfree tc_free_sized tc_malloc_size tc_realloc"
api=$(sed -n 's/^[a-z].*[ *]\(lz_[a-z_]*\)(.*/\1/p' "$LZ_SRCDIR/include/lazyzero.h")

want=$(printf '%s\n' $documented $api | LC_ALL=C sort)
have=$(nm -D --defined-only "$LZ_LIBRARY" | awk '{ print $NF }' | LC_ALL=C sort)
listed=$(grep -vxF "${optional:-none}" "$LZ_SRCDIR/src/shim/exports.sym" | LC_ALL=C sort)
if [ "$want" != "$have" ] || [ "$want" != "$listed" ]; then
  printf 'documented:\n%s\nexported:\n%s\nlisted:\n%s\n' "$want" "$have" "$listed"
  exit 1
fi
echo "$(echo "$have" | wc -l) symbols exported, as documented"
