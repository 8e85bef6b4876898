/* A window out of nothing: its file, its mappings, its huge pages; see window_make.h. */
#include "backing/window/create.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "backing/placement.h"
#include "backing/window/window.h"
#include "os/descriptors.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

#define COLLAPSE_ATTEMPTS 3

/* Its frame is not there while what follows it runs: this is the deepest path of the library. */
#define APART __attribute__((noinline))

int lz_window_fail(struct lz_window_failure *failure, const char *step, int error)
{
	*failure = (struct lz_window_failure){step, error};
	return error != 0 ? error : -EAGAIN;
}

/* --- whole or not --- */

static void count_huge(void *context, const struct lz_page_run *run)
{
	if (run->huge && run->file)
		*(uint64_t *)context += run->end - run->start;
}

bool lz_window_is_whole(struct lz_backings *backings, uintptr_t keeper, size_t bytes)
{
	uint64_t huge = 0;
	int error;

	if (backings->os->madvise((void *)keeper, bytes, MADV_POPULATE_READ) != 0)
		return false;
	error = lz_pagemap_walk(backings->os, keeper, keeper + bytes, count_huge, &huge);
	if (error != 0) /* before Linux 6.7 */
		error = lz_mapping_value(
			backings->os, "/proc/thread-self/smaps", keeper, "ShmemPmdMapped:", &huge);
	return error == 0 && huge == bytes;
}

static const char no_collapse[] = "this kernel has no MADV_COLLAPSE (Linux 6.1, with transparent huge pages)";
static const char no_populate[] = "this kernel has no MADV_POPULATE_READ (Linux 5.14)";
const char lz_window_no_clones[] =
	"this kernel cannot clone mappings of files (MREMAP_DONTUNMAP, Linux 5.13)";
static const char no_sealing[] = "this kernel has no memory files that can be sealed (Linux 3.17)";

int lz_window_no_huge_pages(struct lz_backings *backings, struct lz_window_failure *failure, int error)
{
	struct lz_lines lines;
	const char *line;
	bool denied = false;

	if (backings->os->thp_disabled() == 1)
		return lz_window_fail(
			failure, "huge pages are disabled for this process (prctl PR_SET_THP_DISABLE)", 0);
	if (!lz_fact_holds(backings->os, LZ_FACT_COLLAPSE))
		return lz_window_fail(failure, no_collapse, 0);
	if (lz_lines_open(&lines, backings->os, "/sys/kernel/mm/transparent_hugepage/shmem_enabled") == 0) {
		line = lz_lines_next(&lines);
		denied = line != NULL && strstr(line, "[deny]") != NULL;
		lz_lines_close(&lines);
	}
	if (denied)
		return lz_window_fail(failure,
			"huge pages are denied to shared memory "
			"(/sys/kernel/mm/transparent_hugepage/shmem_enabled)",
			0);
	return lz_window_fail(failure, "no huge page to be found (MADV_COLLAPSE)", error);
}

/*
 * Turns the keeper's pages into huge ones. One page of each block must be there for the kernel to collapse
 * (collapse_file in mm/khugepaged.c); allocating just that one keeps the peak at a block above the window.
 */
int lz_window_collapse(
	struct lz_backings *backings, struct lz_window_failure *failure, uintptr_t keeper, size_t bytes)
{
	size_t unit = lz_window_map_unit(&backings->books->windows);
	int error = 0;

	for (uintptr_t at = keeper; at < keeper + bytes && error == 0; at += unit)
		error = lz_fact_madvise(backings->os, LZ_FACT_POPULATE, (void *)at, backings->books->page,
			MADV_POPULATE_READ);
	if (error && lz_fact_known(LZ_FACT_POPULATE) == LZ_FACT_UNSUPPORTED)
		return lz_window_fail(failure, no_populate, 0);
	if (error)
		return lz_window_fail(failure, "memory for its pages", error);
	/* EAGAIN: a page was locked or not yet on the list of its kind. */
	for (int attempt = 0; attempt < COLLAPSE_ATTEMPTS; attempt++) {
		error = backings->os->madvise((void *)keeper, bytes, MADV_COLLAPSE);
		if (error != -EAGAIN)
			break;
	}
	if (lz_window_is_whole(backings, keeper, bytes))
		return 0;
	return lz_window_no_huge_pages(backings, failure, error);
}

/*
 * Locked, the window cannot be split by reclaim. What the program may lock is the program's: only where
 * nothing is limited, or where the limit does not hold (CAP_IPC_LOCK: it then takes more).
 */
static void lock_pages(struct lz_backings *backings, uintptr_t keeper, size_t bytes)
{
	uint64_t limit;

	if (backings->os->limit(RLIMIT_MEMLOCK, &limit) != 0 || (bytes <= limit && limit != RLIM_INFINITY))
		return;
	backings->os->mlock((void *)keeper, bytes);
}

/* --- made --- */

static intptr_t map_zeros(struct lz_backings *backings, uintptr_t at, size_t bytes, int protection, int fd)
{
	return backings->os->mmap(
		(void *)at, bytes, protection, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0);
}

/*
 * A new memfd at a high number. At the lowest, where the kernel puts it, a program that puts its own files on
 * numbers it takes for free (dup2 and close in a loop) would meet it within the milliseconds of making a
 * window: its file would be cut to our size, or its descriptor closed. What was duplicated must be an empty
 * memfd that can be sealed.
 */
APART static int create_file(struct lz_backings *backings)
{
	const struct lz_os *os = backings->os;
	int low = os->memfd_create(LZ_WINDOW_NAME), fd;
	struct lz_file_id id, now;

	if (low < 0)
		return low;
	fd = lz_descriptors_raise(os, low);
	if (fd < 0)
		return low; /* no high number is free */
	if (os->identify(fd, &id) != 0 || id.size != 0 || os->seals(fd) < 0) {
		os->close(fd);
		return -EAGAIN;
	}
	if (os->identify(low, &now) == 0 && now.device == id.device && now.inode == id.inode)
		os->close(low);
	return fd;
}

/* A sealed file of zeros. Sealed before anything maps it; reading fills its holes all the same. */
APART static int make_file(struct lz_backings *backings, struct lz_window_failure *failure, size_t bytes)
{
	const struct lz_os *os = backings->os;
	int fd = create_file(backings);
	int error;

	if (fd < 0) {
		lz_fact_learn(LZ_FACT_SEALING, fd);
		return lz_window_fail(failure, fd == -ENOSYS ? no_sealing : "memfd_create", fd);
	}
	error = os->ftruncate(fd, (int64_t)bytes);
	if (error) {
		lz_window_fail(failure, "ftruncate of its memfd (RLIMIT_FSIZE?)", error);
	} else if ((error = os->seal(fd)) != 0) {
		lz_fact_learn(LZ_FACT_SEALING, error);
		lz_window_fail(failure, error == -EINVAL ? no_sealing : "sealing its memfd", error);
	}
	if (error == 0)
		return fd;
	os->close(fd);
	return error;
}

/* Maps keeper and source, side by side. */
static int make_mappings(
	struct lz_backings *backings, struct lz_window_failure *failure, int fd, struct lz_window *window)
{
	size_t bytes = window->bytes;
	intptr_t at = lz_placement_reserve_aligned(
		backings, 2 * bytes, lz_window_map_unit(&backings->books->windows));

	if (lz_os_failed(at))
		return lz_window_fail(failure, "address space for it", (int)at);
	window->keeper = (uintptr_t)at;
	window->source = window->keeper + bytes;
	at = map_zeros(backings, window->keeper, bytes, PROT_READ, fd);
	if (!lz_os_failed(at))
		at = map_zeros(backings, window->source, bytes, PROT_READ | PROT_WRITE, fd);
	if (!lz_os_failed(at))
		return 0;
	backings->os->munmap((void *)window->keeper, 2 * bytes);
	return lz_window_fail(failure, "mapping it", (int)at);
}

/* With the hash MMU, the kernel keeps a page table behind every huge page (arch_needs_pgtable_deposit). */
static bool saves_nothing(struct lz_backings *backings)
{
	struct lz_lines lines;
	const char *line;
	bool hash = false;

	if (strcmp(backings->books->geometry->arch, "ppc64") != 0 ||
		lz_lines_open(&lines, backings->os, "/proc/cpuinfo") != 0)
		return false;
	while (!hash && (line = lz_lines_next(&lines)) != NULL)
		hash = strncmp(line, "MMU", 3) == 0 && strstr(line, "Hash") != NULL;
	lz_lines_close(&lines);
	return hash;
}

/* A kernel that lacks what a window is made of is not asked for one again. */
static const char *lacking(void)
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

int lz_window_make(struct lz_backings *backings, struct lz_window_failure *failure, size_t bytes,
	struct lz_window *window)
{
	const char *step;
	int fd, error;

	*window = (struct lz_window){.bytes = bytes};
	if (saves_nothing(backings))
		return lz_window_fail(failure, "with the hash MMU of this machine it would save nothing", 0);
	step = lacking();
	if (step != NULL)
		return lz_window_fail(failure, step, 0);
	fd = make_file(backings, failure, bytes);
	if (fd < 0)
		return fd;
	error = make_mappings(backings, failure, fd, window);
	backings->os->close(fd);
	if (error)
		return error;
	error = lz_window_collapse(backings, failure, window->keeper, bytes);
	if (error) {
		backings->os->munmap((void *)window->keeper, 2 * bytes);
		return error;
	}
	lock_pages(backings, window->keeper, bytes);
	window->checked_ms = backings->os->now_ms();
	return 0;
}
