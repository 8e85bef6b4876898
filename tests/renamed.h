/*
 * Included before everything else in a test that links core and shim under a sanitizer. It renames the
 * functions that the library interposes, because the sanitizer interposes the same ones. Names that the shim
 * looks up with dlsym do not change, so the next allocator is that of the sanitizer.
 */
#ifndef RENAMED_H
#define RENAMED_H

#define malloc lz_own_malloc
#define calloc lz_own_calloc
#define realloc lz_own_realloc
#define reallocarray lz_own_reallocarray
#define free lz_own_free
#define malloc_usable_size lz_own_malloc_usable_size
#define memalign lz_own_memalign
#define aligned_alloc lz_own_aligned_alloc
#define posix_memalign lz_own_posix_memalign
#define valloc lz_own_valloc
#define pvalloc lz_own_pvalloc
#define mmap lz_own_mmap
#define mmap64 lz_own_mmap64
#define munmap lz_own_munmap
#define mremap lz_own_mremap
#define mprotect lz_own_mprotect
#define madvise lz_own_madvise
#define mincore lz_own_mincore
#define ioctl lz_own_ioctl
#define shmat lz_own_shmat
#define shmdt lz_own_shmdt
#define pkey_mprotect lz_own_pkey_mprotect
#define mlock lz_own_mlock
#define mlock2 lz_own_mlock2
#define mlockall lz_own_mlockall
#define mbind lz_own_mbind
#define process_madvise lz_own_process_madvise
#define setrlimit lz_own_setrlimit
#define setrlimit64 lz_own_setrlimit64
#define prlimit lz_own_prlimit
#define prlimit64 lz_own_prlimit64
#define prctl lz_own_prctl
#define setsockopt lz_own_setsockopt
#define vmsplice lz_own_vmsplice
#define syscall lz_own_syscall
#define memset lz_own_memset
#define bzero lz_own_bzero
#define explicit_bzero lz_own_explicit_bzero
#define __memset_chk lz_own_memset_chk
#define __explicit_bzero_chk lz_own_explicit_bzero_chk
#define mallinfo lz_own_mallinfo
#define mallinfo2 lz_own_mallinfo2
#define malloc_stats lz_own_malloc_stats

/* The library does nothing in a program that has these symbols of a sanitizer. Here it must work. */
#define __asan_init lz_no_asan_init
#define __lsan_init lz_no_lsan_init
#define __tsan_init lz_no_tsan_init

#endif
