/*
 * The program's own calls that map, unmap or change memory. Each is made as it is, unless refused, and
 * followed in the books: a range leaves the ledger before its system call and enters it after, so that in
 * between nobody else can be given those addresses. A call that fails half-way is followed by comparing with
 * /proc/self/maps.
 *
 * Functions make the system call, or refuse it, and return what the kernel would (an address, 0, or -errno),
 * unless they say otherwise. Thread-safe; safe in signal handlers.
 */
#ifndef LZ_CALLS_CALLS_H
#define LZ_CALLS_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget/budget.h"

struct lz_calls {
	const struct lz_os *os; /* our own system calls */
	const struct lz_os
		*next; /* what the program's calls are passed on to: the next definition, or the kernel */
	struct lz_books *books;
	struct lz_backings *backings;
	struct lz_cache *cache;
	struct lz_budget *budget;
	const struct lz_options *options;
	_Atomic bool hugetlb_seen; /* hugetlb memory was seen: what mprotect opens may be more of it */
};

struct uffdio_register;
struct iovec;

/* --- mmap.c --- */

intptr_t lz_calls_mmap(struct lz_calls *calls, void *address, size_t length, int protection, int flags,
	int fd, int64_t offset, const void *caller);
int lz_calls_munmap(struct lz_calls *calls, void *address, size_t length);

/* --- protection.c; with a protection key, pkey_mprotect(2); -1 for mprotect(2) --- */

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

/* process_madvise(2), on this process or another, whose ranges mean nothing here. The pointer may be any. */
long lz_calls_process_madvise(struct lz_calls *calls, int pidfd, const struct iovec *ranges, size_t count,
	int advice, unsigned flags);

/* --- notices.c: calls that are only passed on, by the shim, after these were told --- */

/* mbind(2) makes the call: it has no effect on memory that stands on a window. 0 or -errno. */
long lz_calls_mbind(struct lz_calls *calls, void *address, size_t length, int mode,
	const unsigned long *nodes, unsigned long nodes_max, unsigned flags);

/*
 * The program is about to have its faults in a range answered by userfaultfd(2) (UFFDIO_REGISTER): for
 * missing pages, what stands on a window there becomes anonymous memory. The pointer may be any.
 */
void lz_calls_before_userfault(struct lz_calls *calls, const struct uffdio_register *registration);

/* The program is about to lock memory (mlock, mlock2), or all of it (mlockall), or to lower a limit
 * (setrlimit). */
void lz_calls_before_mlock(struct lz_calls *calls, const void *address, size_t length);
void lz_calls_before_mlockall(struct lz_calls *calls);
void lz_calls_before_setrlimit(struct lz_calls *calls, int resource);

/* The program is about to name memory (PR_SET_VMA). True where some of it stands on a window, which takes no
 * name. */
bool lz_calls_before_naming(struct lz_calls *calls, const void *address, size_t length);

/* The program is about to have the kernel read pages for longer than a call lasts; see cache.h. */
void lz_calls_before_sharing_pages(struct lz_calls *calls);

/*
 * The program is about to install a seccomp filter, which may kill on any call that it does not make itself:
 * unmaps what is kept. From then on nothing is served or followed, and each region that is freed costs one
 * munmap.
 */
void lz_calls_before_seccomp(struct lz_calls *calls);

#endif
