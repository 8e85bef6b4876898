/*
 * The core: decides, maps, and keeps the books. It knows nothing of interposition, so it runs in tests with
 * any os table; the shim calls it, and it never calls back.
 *
 * Functions return 0 or -errno, or what the system call they stand for returns. -EAGAIN means that we cannot
 * serve this (re-entered from a signal handler, lock not to be had, no address space): the caller does what
 * it would do without lazyzero. Thread-safe; safe in signal handlers; no function allocates from the heap or
 * holds the lock across a system call that maps or unmaps the program's memory.
 */
#ifndef LZ_CORE_CORE_H
#define LZ_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accounting/budget_size.h"
#include "pagetables/geometry.h"
#include "pagetables/ledger.h"
#include "accounting/reservations.h"
#include "cache/cache.h"
#include "sites/report.h"
#include "accounting/regions.h"
#include "accounting/statistics.h"
#include "backing/window/window.h"
#include "backing/window/wipe_on_fork.h"
#include "os/os.h"
#include "support/lock.h"
#include "support/log.h"
#include "support/options.h"

struct lz_core {
	const struct lz_os *os; /* our own system calls */
	/* What the program's own calls are passed on to: the next definition, or the kernel. */
	const struct lz_os *calls;
	struct lz_options options;
	struct lz_log log;
	struct lz_lock lock;
	struct lz_stats stats;
	size_t page; /* bytes of a page */
	unsigned page_shift;
	bool active; /* malloc, calloc and mmap are to be handled in this program */

	/* With the lock: */
	bool prepared; /* geometry and ledger are there */
	const struct lz_geometry *geometry;
	struct lz_ledger ledger;
	struct lz_windows windows;
	struct lz_recycle recycle;
	struct lz_budget budget;
	uint64_t actual;             /* VmPTE when last read; UINT64_MAX when it cannot be */
	uint64_t actual_read_ms;     /* when */
	uint64_t decided_since_read; /* page-table bytes granted since then */
	uint64_t reconciled_ms;      /* when the ledger was last compared with /proc/self/maps; 0: never */

	struct lz_wipes wipes;       /* also read without, in a forked child */

	/* Without: */
	_Atomic uint64_t window_sampled_ms; /* when the window's share of VmRSS was last looked at */
	_Atomic bool huge_pages;    /* hugetlb memory was seen: what mprotect opens may be more of it */
	_Atomic bool overlaid;      /* the program maps files or shared memory where it likes: in a block, perhaps */
	/* The kernel may read pages of the program after they were freed: pipes filled by vmsplice, sockets with
	 * MSG_ZEROCOPY, registered buffers of io_uring. Never unset. */
	_Atomic bool pages_shared_with_kernel;
	_Atomic bool passive; /* the program is about to install a seccomp filter: no call is followed, nothing served */
	_Atomic bool unlike_glibc; /* its blocks look otherwise than header.h says: ours pass for none of them */
	_Atomic bool missed;        /* a call could not be followed since the ledger was last reconciled */
	_Atomic uint64_t reserved;  /* page-table bytes of requests granted and not yet in the ledger */
	struct lz_report *report;   /* LAZYZERO_REPORT; NULL: none */
	struct lz_pending pending[LZ_PENDING];
	struct lz_regions regions;  /* see regions.h for what needs the lock */
};

/* A request as the log will name it. */
struct lz_request {
	const char *call;        /* "calloc" */
	uint64_t size;           /* asked for, bytes */
	const void *caller;      /* return address in the program */
	bool zeroed;             /* its memory must read as zero */
	bool accounted;          /* the kernel applies its overcommit rules, as it does to malloc without us */
	enum lz_backing backing; /* LZ_BACKING_AUTO: as LAZYZERO_BACKING says */
};

/*
 * Prepares a zeroed core: reads the options from envp, opens log and statistics. Leaves the rest for the
 * first call that needs it. executable is the name the program was started by.
 */
int lz_core_init(struct lz_core *core, const struct lz_os *os, char *const *envp, const char *executable);

/*
 * Reads now from files what the first large request would read: the machine's and the control group's limits. To
 * be called before a program gives up rights (setuid, a seccomp filter), or anywhere. Takes the lock; once done,
 * one load.
 */
void lz_core_learn(struct lz_core *core);

/* At exit: last counters and the log's closing line. */
void lz_core_close(struct lz_core *core);

/* --- served.c, resize.c: regions in place of the allocator below --- */

/*
 * A zeroed region of request->size bytes, aligned to `alignment` (a power of two; 0 or less than a page: to a
 * page). -ENOMEM: refused.
 */
int lz_core_allocate(struct lz_core *core, const struct lz_request *request, size_t alignment, void **out);

/* Frees the region at p. -ENOENT: p is not the start of one; nothing happened. Never -EAGAIN. */
int lz_core_free(struct lz_core *core, void *p);

/* What freeing or resizing p would be, which lz_core_free or lz_core_size does not know. */
enum lz_misuse {
	LZ_MISUSE_NONE,   /* p may be the next allocator's */
	LZ_MISUSE_INSIDE, /* in the middle of a region */
	LZ_MISUSE_FREED,  /* in one that was freed and is kept for reuse */
	LZ_MISUSE_GONE    /* near where regions were, and nothing is mapped there */
};

/*
 * Whether p, a page-aligned pointer, is certain to be no block; *base and *length are those of the region that
 * it lies INSIDE. Takes the lock only within 64 MiB of where a region is or was.
 */
enum lz_misuse lz_core_misuse(struct lz_core *core, const void *p, uintptr_t *base, size_t *length);

/* One line about it, to the log and to stderr, in the name of the call at `caller`. */
void lz_core_say_misuse(struct lz_core *core, const char *call, const void *p, const void *caller,
	enum lz_misuse misuse, uintptr_t base, size_t length);

/* The usable bytes of the region at p. -ENOENT as above; no lock. */
int lz_core_size(struct lz_core *core, const void *p, size_t *bytes);

/*
 * Changes the size of the region at p to request->size (> 0) bytes; moves its page tables, not its bytes,
 * unless the program has split it into several mappings. -ENOENT as above; -ENOMEM: refused; -EAGAIN as
 * above. After each of them the region is as it was.
 */
int lz_core_resize(struct lz_core *core, const struct lz_request *request, void *p, void **out);

/*
 * Copies anonymous memory to zeroes, but for the pages that were never written: reading one makes a page-table
 * entry, writing its copy a page. Without PAGEMAP_SCAN (before Linux 6.7) all of them are read. No lock.
 */
void lz_core_copy(struct lz_core *core, const void *from, size_t size, void *to);

/* --- mappings.c, advice.c, remap.c: the program's own calls of the mmap family --- */

/* Each makes the system call, or refuses it, and returns what the kernel would (an address, 0, or -errno). */
intptr_t lz_core_mmap(struct lz_core *core, void *address, size_t length, int protection, int flags, int fd,
	int64_t offset, const void *caller);
int lz_core_munmap(struct lz_core *core, void *address, size_t length);
intptr_t lz_core_mremap(struct lz_core *core, void *address, size_t old_length, size_t new_length, int flags,
	void *target, const void *caller);
/* With a protection key, pkey_mprotect(2); -1 for mprotect(2). */
int lz_core_mprotect(
	struct lz_core *core, void *address, size_t length, int protection, int key, const void *caller);
int lz_core_madvise(struct lz_core *core, void *address, size_t length, int advice);
int lz_core_mincore(struct lz_core *core, void *address, size_t length, unsigned char *pages);
intptr_t lz_core_shmat(struct lz_core *core, int id, const void *address, int flags, const void *caller);
int lz_core_shmdt(struct lz_core *core, const void *address);

/*
 * The program is about to have its faults in a range answered by userfaultfd(2) (UFFDIO_REGISTER): for missing
 * pages, what stands on a window there becomes anonymous memory; see leave.c. The pointer may be any.
 */
struct uffdio_register;
void lz_core_userfault(struct lz_core *core, const struct uffdio_register *registration);

/*
 * The program is about to make a call that is only passed on, and that changes what memory is like: locks some
 * (mlock, mlock2) or all of it (mlockall), or lowers a limit (setrlimit).
 */
void lz_core_locks(struct lz_core *core, const void *address, size_t length);
void lz_core_locks_all(struct lz_core *core);
void lz_core_limits(struct lz_core *core, int resource);

/* mbind(2): without effect on what stands on a window, see alter.c. Makes the call; 0 or -errno. */
long lz_core_mbind(struct lz_core *core, void *address, size_t length, int mode, const unsigned long *nodes,
	unsigned long nodes_max, unsigned flags);

/* The program is about to name memory (PR_SET_VMA). True where some of it stands on a window, which takes no name. */
bool lz_core_names(struct lz_core *core, const void *address, size_t length);

/*
 * The program is about to install a seccomp filter, which may kill on any call that it does not make itself: unmaps what
 * is kept, and makes no system call from then on but one munmap for each region that is freed.
 */
void lz_core_be_passive(struct lz_core *core);

/* The program is about to have the kernel read pages for longer than a call lasts; see pages_shared_with_kernel. */
void lz_core_shares_pages(struct lz_core *core);

/*
 * process_madvise(2), on this process or another, whose ranges mean nothing here. The pointer may be any. Makes
 * the call; bytes or -errno.
 */
struct iovec;
long lz_core_process_madvise(struct lz_core *core, int pidfd, const struct iovec *ranges, size_t count,
	int advice, unsigned flags);

/* In a forked child, before the program runs on: ranges of MADV_WIPEONFORK are wiped. */
void lz_core_forked(struct lz_core *core);

#endif
