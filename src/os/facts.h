/*
 * What the running kernel can do. One fact for each feature that some kernels lack: its name, the version of
 * Linux that introduced it, and whether this kernel has it. The library, `lazyzero doctor` and the tests read
 * the same facts.
 *
 * What always holds:
 *  - The library learns a fact by using the feature: lz_fact tries it on memory of its own, or the library
 * uses it anyway and reports the result to lz_fact_learn. Kernel versions are not compared, since
 *    distributions backport features and sandboxes remove them.
 *  - "Unsupported" and "failed" differ: an unsupported feature stays unsupported, and is not tried again. A
 * try that failed for another reason (no memory, a seccomp filter's EPERM) is made again when the fact is
 * needed next.
 *  - A state that is YES or UNSUPPORTED never changes. A forked child inherits all states.
 *  - No lock and no heap. Two threads may try the same fact at the same time; both find the same.
 *
 * Safe in threads and signal handlers.
 *
 * facts.c holds the table and the states, facts_try.c the functions that try.
 */
#ifndef LZ_OS_FACTS_H
#define LZ_OS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

enum lz_fact {
	LZ_FACT_VMPTE,
	LZ_FACT_ZERO_PAGE,
	LZ_FACT_HUGE_ZERO_PAGE,
	LZ_FACT_PT_RECLAIM,
	LZ_FACT_PAGEMAP_SCAN,
	LZ_FACT_PROCMAP_QUERY,
	LZ_FACT_WIPE_ON_FORK,
	LZ_FACT_POPULATE,
	LZ_FACT_COLLAPSE,
	LZ_FACT_GUARD_REGIONS,
	LZ_FACT_FIXED_NOREPLACE,
	LZ_FACT_MREMAP_DONTUNMAP,
	LZ_FACT_MREMAP_MANY,
	LZ_FACT_SEALING,
	LZ_FACT_NOEXEC_SEAL,
	LZ_FACTS
};

enum lz_fact_state {
	LZ_FACT_UNKNOWN, /* not tried yet */
	LZ_FACT_YES,
	LZ_FACT_UNSUPPORTED, /* the kernel lacks it */
	LZ_FACT_FAILED       /* the last try failed for another reason; see lz_fact_error */
};

struct lz_fact_info {
	const char *id;   /* lower case and underscores, as tests name it */
	const char *name; /* the kernel's name for it */
	const char
		*since; /* the version of Linux that introduced it; "" if it does not depend on the version */
	const char *source; /* where the kernel or a manual page describes it */
	int lacking; /* -errno that a kernel without the feature returns; 0: no errno proves it, only lz_fact
			can decide */
	bool by_descriptor; /* used through a file descriptor; see lz_fact_learn */
	bool alone;         /* measured with VmPTE, so the process must have one thread; see lz_fact */
};

/* LZ_FACTS rows, by enum lz_fact. */
extern const struct lz_fact_info lz_facts[LZ_FACTS];

/*
 * Tries the feature if it was never tried or the last try failed. Returns the state. The facts marked `alone`
 * fail with EBUSY if the process has other threads; the library never calls lz_fact for these. May map a few
 * pages temporarily.
 */
enum lz_fact_state lz_fact(const struct lz_os *os, enum lz_fact fact);

/* Whether the process has one thread, as far as /proc tells: then nobody else changes VmPTE. */
bool lz_process_is_single_threaded(const struct lz_os *os);

/* Whether lz_fact answers LZ_FACT_YES. */
bool lz_fact_holds(const struct lz_os *os, enum lz_fact fact);

/* The state so far, without any system call. */
enum lz_fact_state lz_fact_known(enum lz_fact fact);

/* Why the last try failed, -errno; 0 in every other state. */
int lz_fact_error(enum lz_fact fact);

/* Makes all states UNKNOWN, for tests that change the kernel. */
void lz_facts_forget(void);

/*
 * Reports the result of using the feature, 0 or -errno, on memory that any kernel with the feature would have
 * accepted. `lacking` of the table, and ENOSYS, mean that the kernel lacks it. For a feature used through a
 * descriptor, only two such results in a row count, because another thread may have put another file on the
 * number between its check and its use.
 */
void lz_fact_learn(enum lz_fact fact, int error);

/* Reports the result of a try, for lz_fact. -EOPNOTSUPP or -ENOSYS mean that the kernel lacks the feature;
 * any other error means that the try failed. */
void lz_fact_learn_tried(enum lz_fact fact, int error);

/*
 * madvise(2) by the library's own choice, with an advice that the fact is about, on any memory. Returns 0 or
 * -errno; -EINVAL without a call if the kernel is known to lack the advice. EINVAL can also be caused by the
 * memory, so on the first EINVAL lz_fact checks which.
 */
int lz_fact_madvise(const struct lz_os *os, enum lz_fact fact, void *address, size_t length, int advice);

/* The same on private anonymous memory that the library has just mapped, where EINVAL can only mean that the
 * advice is unsupported. */
int lz_fact_madvise_own(const struct lz_os *os, enum lz_fact fact, void *address, size_t length, int advice);

/*
 * mmap(2) at an address where nothing must be mapped, anonymous and private. Returns the address, -EEXIST
 * where something is mapped, or another -errno. Before Linux 4.17 MAP_FIXED_NOREPLACE is ignored and the
 * address is a hint: if the kernel chose another address, the mapping is unmapped.
 */
intptr_t lz_fact_mmap_at(
	const struct lz_os *os, void *address, size_t length, int protection, int more_flags);

#endif
