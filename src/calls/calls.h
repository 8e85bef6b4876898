/*
 * The program's own calls that map, unmap or change memory. Each call is passed on unless it is refused, and
 * recorded in the books. A range leaves the ledger before its system call and enters it after, so that no
 * other thread can be given the same addresses in between. After a call that failed half way, the books are
 * reconciled with /proc/self/maps.
 *
 * Unless a comment says otherwise, a function makes the system call or refuses it, and returns what the
 * kernel would return (an address, 0, or -errno). Thread-safe; safe in signal handlers; functions take the
 * lock of the books.
 */
#ifndef LZ_CALLS_CALLS_H
#define LZ_CALLS_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget/budget.h"
#include "sites/report.h"
#include "zeroing/zeroing.h"

struct lz_calls {
	const struct lz_os *os;   /* lazyzero's own system calls */
	const struct lz_os *next; /* The program's calls are passed on to these: the next definition in the
				     search order, or the kernel. */
	struct lz_books *books;
	struct lz_backings *backings;
	struct lz_cache *cache;
	struct lz_budget *budget;
	struct lz_zeroing *zeroing;
	struct lz_reporter *reporter;
	const struct lz_options *options;
	_Atomic bool
		hugetlb_seen; /* hugetlb memory was mapped: a change of protection may concern more of it */
	_Atomic uint64_t standard_huge_page; /* bytes of what MAP_HUGETLB gives; 0: not read yet */
};

struct uffdio_register;
struct iovec;

/* --- mmap.c --- */

intptr_t lz_calls_mmap(struct lz_calls *calls, void *address, size_t length, int protection, int flags,
	int fd, int64_t offset, const void *caller);
int lz_calls_munmap(struct lz_calls *calls, void *address, size_t length);

/* --- protection.c; `key`: a protection key (pkey_mprotect(2)), or -1 for mprotect(2) --- */

int lz_calls_mprotect(
	struct lz_calls *calls, void *address, size_t length, int protection, int key, const void *caller);

/* --- mremap.c --- */

intptr_t lz_calls_mremap(struct lz_calls *calls, void *address, size_t old_length, size_t new_length,
	int flags, void *target, const void *caller);

/* --- shared_memory.c --- */

intptr_t lz_calls_shmat(struct lz_calls *calls, int id, const void *address, int flags, const void *caller);
int lz_calls_shmdt(struct lz_calls *calls, const void *address);

/* --- madvise.c --- */

int lz_calls_madvise(struct lz_calls *calls, void *address, size_t length, int advice);
int lz_calls_mincore(struct lz_calls *calls, void *address, size_t length, unsigned char *pages);

/*
 * process_madvise(2) on this process or another one; addresses of another process are not looked at. `ranges`
 * may be an invalid pointer.
 */
long lz_calls_process_madvise(struct lz_calls *calls, int pidfd, const struct iovec *ranges, size_t count,
	int advice, unsigned flags);

/* --- other_calls.c: notices of calls that the shim then passes on --- */

/*
 * mbind(2). Unlike the others this function makes the call; it has no effect on memory that is on a window. 0
 * or -errno.
 */
long lz_calls_mbind(struct lz_calls *calls, void *address, size_t length, int mode,
	const unsigned long *nodes, unsigned long nodes_max, unsigned flags);

/*
 * The program is about to register a range with userfaultfd(2) (UFFDIO_REGISTER). For missing pages, memory
 * on a window there is turned into anonymous memory. `registration` may be an invalid pointer.
 */
void lz_calls_before_userfault(struct lz_calls *calls, const struct uffdio_register *registration);

/*
 * The program is about to create a userfaultfd, to set a protection key, or to lock memory that is populated
 * only when it is touched (MLOCK_ONFAULT): from now on its memset calls touch all pages, see lz_zeroing_stop.
 */
void lz_calls_stop_zeroing(struct lz_calls *calls);

/*
 * The program is about to lock memory (mlock, mlock2), to lock all its memory (mlockall), or has changed a
 * resource limit (setrlimit, prlimit).
 */
void lz_calls_before_mlock(struct lz_calls *calls, const void *address, size_t length);
void lz_calls_before_mlockall(struct lz_calls *calls);
void lz_calls_after_setrlimit(struct lz_calls *calls, int resource);

/*
 * The program is about to name memory (PR_SET_VMA). Returns true if some of it is on a window, which the
 * kernel cannot name.
 */
bool lz_calls_before_naming(struct lz_calls *calls, const void *address, size_t length);

/*
 * The program is about to make a call after which the kernel reads its pages for longer than the call lasts;
 * see lz_cache_stop.
 */
void lz_calls_before_kernel_keeps_pages(struct lz_calls *calls);

/*
 * The program is about to install a seccomp filter, which may kill it on any system call that it does not
 * make itself. Unmaps the cached regions. From then on nothing is served or recorded, and each region that is
 * freed costs one munmap(2).
 */
void lz_calls_before_seccomp(struct lz_calls *calls);

#endif
