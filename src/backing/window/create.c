/* Creating a window: its file, its mappings, its huge pages; see create.h. */
#include "backing/window/create.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "backing/placement.h"
#include "backing/window/window.h"
#include "os/facts.h"
#include "os/memfd.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

#define COLLAPSE_ATTEMPTS 3

/* Keeps a function's frame off the stack while later steps run: this is the deepest path of the library. */
#define NOINLINE __attribute__((noinline))

int lz_window_set_failure(struct lz_window_failure *failure, const char *step, int error)
{
	*failure = (struct lz_window_failure){step, error};
	return error != 0 ? error : -EAGAIN;
}

/* --- checking huge pages --- */

static void add_huge_bytes(void *context, const struct lz_page_run *run)
{
	if (run->huge && run->file)
		*(uint64_t *)context += run->end - run->start;
}

bool lz_window_has_huge_pages(struct lz_backings *backings, uintptr_t keeper, size_t bytes)
{
	uint64_t huge = 0;
	int error;

	if (backings->os->madvise((void *)keeper, bytes, MADV_POPULATE_READ) != 0)
		return false;
	error = lz_pagemap_walk(backings->os, keeper, keeper + bytes, add_huge_bytes, &huge);
	if (error != 0) /* before Linux 6.7 */
		error = lz_smaps_value(
			backings->os, "/proc/thread-self/smaps", keeper, "ShmemPmdMapped:", &huge);
	return error == 0 && huge == bytes;
}

static const char no_collapse[] = "this kernel has no MADV_COLLAPSE (Linux 6.1, with transparent huge pages)";
static const char no_populate[] = "this kernel has no MADV_POPULATE_READ (Linux 5.14)";
const char lz_window_no_clones[] =
	"this kernel cannot clone mappings of files (MREMAP_DONTUNMAP, Linux 5.13)";
static const char no_sealing[] = "this kernel has no memory files that can be sealed (Linux 3.17)";

int lz_window_explain_no_huge_pages(
	struct lz_backings *backings, struct lz_window_failure *failure, int error)
{
	struct lz_line_reader lines;
	const char *line;
	bool denied = false;

	if (backings->os->thp_disabled() == 1)
		return lz_window_set_failure(
			failure, "huge pages are disabled for this process (prctl PR_SET_THP_DISABLE)", 0);
	if (!lz_fact_holds(backings->os, LZ_FACT_COLLAPSE))
		return lz_window_set_failure(failure, no_collapse, 0);
	if (lz_line_reader_open(&lines, backings->os, "/sys/kernel/mm/transparent_hugepage/shmem_enabled") ==
		0) {
		line = lz_line_reader_next(&lines);
		denied = line != NULL && strstr(line, "[deny]") != NULL;
		lz_line_reader_close(&lines);
	}
	if (denied)
		return lz_window_set_failure(failure,
			"huge pages are denied to shared memory "
			"(/sys/kernel/mm/transparent_hugepage/shmem_enabled)",
			0);
	return lz_window_set_failure(failure, "no huge page was available (MADV_COLLAPSE)", error);
}

/*
 * Collapses the keeper's pages into huge pages. The kernel collapses a block only if one of its pages exists
 * (collapse_file in mm/khugepaged.c); allocating just one page keeps the peak at one block above the window.
 */
NOINLINE static int collapse(struct lz_backings *backings, struct lz_window_failure *failure,
	uintptr_t keeper, size_t bytes, int *answer)
{
	size_t unit = lz_window_map_unit(&backings->books->windows);
	int error = 0;

	for (uintptr_t at = keeper; at < keeper + bytes && error == 0; at += unit)
		error = lz_fact_madvise(backings->os, LZ_FACT_POPULATE, (void *)at, backings->books->page,
			MADV_POPULATE_READ);
	if (error && lz_fact_known(LZ_FACT_POPULATE) == LZ_FACT_UNSUPPORTED)
		return lz_window_set_failure(failure, no_populate, 0);
	if (error)
		return lz_window_set_failure(failure, "allocating its pages", error);
	/* EAGAIN: a page was locked, or not yet on its LRU list. */
	for (int attempt = 0; attempt < COLLAPSE_ATTEMPTS; attempt++) {
		*answer = backings->os->madvise((void *)keeper, bytes, MADV_COLLAPSE);
		if (*answer != -EAGAIN)
			break;
	}
	return 0;
}

/* Inline, which keeps the stack below the check for huge pages small. */
static inline int collapse_and_check(
	struct lz_backings *backings, struct lz_window_failure *failure, uintptr_t keeper, size_t bytes)
{
	int answer = 0, error = collapse(backings, failure, keeper, bytes, &answer);

	if (error)
		return error;
	if (lz_window_has_huge_pages(backings, keeper, bytes))
		return 0;
	return lz_window_explain_no_huge_pages(backings, failure, answer);
}

int lz_window_collapse(
	struct lz_backings *backings, struct lz_window_failure *failure, uintptr_t keeper, size_t bytes)
{
	return collapse_and_check(backings, failure, keeper, bytes);
}

/*
 * Reclaim cannot split a locked window. The program's own RLIMIT_MEMLOCK is left to the program: the window
 * is locked only if the limit is infinite, or smaller than the window; in that case mlock succeeds only with
 * CAP_IPC_LOCK, for which the limit does not apply.
 */
static void lock_pages(struct lz_backings *backings, uintptr_t keeper, size_t bytes)
{
	uint64_t limit;

	if (backings->os->rlimit(RLIMIT_MEMLOCK, &limit) != 0 || (bytes <= limit && limit != RLIM_INFINITY))
		return;
	backings->os->mlock((void *)keeper, bytes);
}

/* --- creation --- */

static intptr_t map_file(struct lz_backings *backings, uintptr_t at, size_t bytes, int protection, int fd)
{
	return backings->os->mmap(
		(void *)at, bytes, protection, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0);
}

/* Creates a sealed file of zeros. It is sealed before anything maps it; reading still fills its holes. */
NOINLINE static int create_sealed_file(
	struct lz_backings *backings, struct lz_window_failure *failure, size_t bytes)
{
	const struct lz_os *os = backings->os;
	int fd = lz_memfd_create_high(os, LZ_WINDOW_NAME);
	int error;

	if (fd < 0) {
		lz_fact_learn(LZ_FACT_SEALING, fd);
		return lz_window_set_failure(failure, fd == -ENOSYS ? no_sealing : "memfd_create", fd);
	}
	error = os->ftruncate(fd, (int64_t)bytes);
	if (error) {
		lz_window_set_failure(failure, "ftruncate of its memfd (RLIMIT_FSIZE?)", error);
	} else if ((error = os->add_seals(fd)) != 0) {
		lz_fact_learn(LZ_FACT_SEALING, error);
		lz_window_set_failure(failure, error == -EINVAL ? no_sealing : "sealing its memfd", error);
	}
	if (error == 0)
		return fd;
	os->close(fd);
	return error;
}

/* Maps keeper and source side by side. */
static int map_keeper_and_source(
	struct lz_backings *backings, struct lz_window_failure *failure, int fd, struct lz_window *window)
{
	size_t bytes = window->bytes;
	intptr_t at = lz_placement_reserve_aligned(
		backings, 2 * bytes, lz_window_map_unit(&backings->books->windows));

	if (lz_os_failed(at))
		return lz_window_set_failure(failure, "reserving address space", (int)at);
	window->keeper = (uintptr_t)at;
	window->source = window->keeper + bytes;
	at = map_file(backings, window->keeper, bytes, PROT_READ, fd);
	if (!lz_os_failed(at))
		at = map_file(backings, window->source, bytes, PROT_READ | PROT_WRITE, fd);
	if (!lz_os_failed(at))
		return 0;
	backings->os->munmap((void *)window->keeper, 2 * bytes);
	return lz_window_set_failure(failure, "mapping it", (int)at);
}

/*
 * With the hash MMU of ppc64, the kernel keeps a page table for every huge page (arch_needs_pgtable_deposit),
 * so a window would save nothing.
 */
static bool has_hash_mmu(struct lz_backings *backings)
{
	struct lz_line_reader lines;
	const char *line;
	bool hash = false;

	if (strcmp(backings->books->geometry->arch, "ppc64") != 0 ||
		lz_line_reader_open(&lines, backings->os, "/proc/cpuinfo") != 0)
		return false;
	while (!hash && (line = lz_line_reader_next(&lines)) != NULL)
		hash = strncmp(line, "MMU", 3) == 0 && strstr(line, "Hash") != NULL;
	lz_line_reader_close(&lines);
	return hash;
}

/* What this kernel is known to lack of what a window needs; NULL: nothing. It is not asked for that again. */
static const char *missing_feature(void)
{
	if (lz_fact_known(LZ_FACT_SEALING) == LZ_FACT_UNSUPPORTED)
		return no_sealing;
	if (lz_fact_known(LZ_FACT_POPULATE) == LZ_FACT_UNSUPPORTED)
		return no_populate;
	if (lz_fact_known(LZ_FACT_COLLAPSE) == LZ_FACT_UNSUPPORTED)
		return no_collapse;
	if (lz_fact_known(LZ_FACT_MREMAP_DONTUNMAP) == LZ_FACT_UNSUPPORTED)
		return lz_window_no_clones;
	return NULL;
}

int lz_window_create(struct lz_backings *backings, struct lz_window_failure *failure, size_t bytes,
	struct lz_window *window)
{
	const char *missing;
	int fd, error;

	*window = (struct lz_window){.bytes = bytes};
	if (has_hash_mmu(backings))
		return lz_window_set_failure(
			failure, "with this machine's hash MMU it would save no memory", 0);
	missing = missing_feature();
	if (missing != NULL)
		return lz_window_set_failure(failure, missing, 0);
	fd = create_sealed_file(backings, failure, bytes);
	if (fd < 0)
		return fd;
	error = map_keeper_and_source(backings, failure, fd, window);
	backings->os->close(fd);
	if (error)
		return error;
	error = collapse_and_check(backings, failure, window->keeper, bytes);
	if (error) {
		backings->os->munmap((void *)window->keeper, 2 * bytes);
		return error;
	}
	lock_pages(backings, window->keeper, bytes);
	window->checked_ms = backings->os->now_ms();
	return 0;
}
