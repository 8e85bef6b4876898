/* The PAGEMAP_SCAN ioctl; see pagemap.h. */
#include "os/pagemap.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "os/descriptors.h"
#include "os/facts.h"
#include "os/scratch.h"

/*
 * Copied from include/uapi/linux/fs.h of Linux 6.7 under names of our own: older headers lack it, newer ones
 * define it.
 */
struct scan_run {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_REQUEST _IOWR('f', 16, struct scan)
#define PAGE_IS_FILE (UINT64_C(1) << 2)
#define PAGE_IS_PRESENT (UINT64_C(1) << 3)
#define PAGE_IS_SWAPPED (UINT64_C(1) << 4)
#define PAGE_IS_PFNZERO (UINT64_C(1) << 5)
#define PAGE_IS_HUGE (UINT64_C(1) << 6)
#define PAGE_IS_GUARD (UINT64_C(1) << 8) /* Linux 6.15; before, asking for it fails with EINVAL */

/* One scratch buffer holds the request and the result. */
static_assert(sizeof(struct lz_written_run) == sizeof(struct scan_run), "the layout of the kernel");

#define MAX_RUNS ((LZ_SCRATCH_BYTES - sizeof(struct scan)) / sizeof(struct scan_run))

/* A request for the populated pages of a range, whose result follows it in the scratch buffer. */
static void init_scan(struct scan *scan, uint64_t start, uint64_t end)
{
	*scan = (struct scan){
		.size = sizeof *scan,
		.start = start,
		.end = end,
		.vec = (uint64_t)(uintptr_t)(scan + 1),
		.vec_len = MAX_RUNS,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask =
			PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO | PAGE_IS_FILE | PAGE_IS_HUGE,
	};
}

static void visit_runs(const struct scan *scan, int count, lz_page_run_visitor *visit, void *context)
{
	const struct scan_run *runs = (const struct scan_run *)(scan + 1);

	for (int i = 0; i < count; i++) {
		uint64_t is = runs[i].categories;
		struct lz_page_run run = {runs[i].start, runs[i].end, (is & PAGE_IS_PFNZERO) != 0,
			(is & PAGE_IS_FILE) != 0, (is & PAGE_IS_HUGE) != 0, (is & PAGE_IS_PRESENT) == 0,
			(is & PAGE_IS_GUARD) != 0};

		visit(context, &run);
	}
}

static int scan_range(const struct lz_os *os, int fd, struct scan *scan, uint64_t start, uint64_t end,
	lz_page_run_visitor *visit, void *context)
{
	int found = 0;

	init_scan(scan, start, end);
	while (scan->start < end) {
		found = os->ioctl(fd, SCAN_REQUEST, scan);
		lz_fact_learn(LZ_FACT_PAGEMAP_SCAN, found < 0 ? found : 0);
		if (found < 0)
			break;
		visit_runs(scan, found, visit, context);
		/*
		 * The kernel stops early if the vector is full. If there is no progress, the walk cannot
		 * complete.
		 */
		if (scan->walk_end <= scan->start && found == 0) {
			found = -EIO;
			break;
		}
		scan->start = scan->walk_end;
	}
	return found < 0 ? found : 0;
}

int lz_pagemap_walk_of(const struct lz_os *os, int fd, uint64_t start, uint64_t end,
	lz_page_run_visitor *visit, void *context)
{
	struct scan *scan = lz_scratch_take(os);
	int error = scan == NULL ? -ENOMEM : scan_range(os, fd, scan, start, end, visit, context);

	lz_scratch_release(os, scan);
	return error;
}

int lz_pagemap_walk(
	const struct lz_os *os, uint64_t start, uint64_t end, lz_page_run_visitor *visit, void *context)
{
	struct lz_file file;
	int error;

	if (lz_fact_known(LZ_FACT_PAGEMAP_SCAN) == LZ_FACT_UNSUPPORTED)
		return -ENOTTY;
	error = lz_file_open(&file, os, LZ_PAGEMAP, false);
	if (error)
		return error;
	error = lz_pagemap_walk_of(os, file.fd, start, end, visit, context);
	lz_file_close(&file);
	return error;
}

int lz_pagemap_walk_step(const struct lz_os *os, int fd, uint64_t *at, uint64_t end, unsigned most_pages,
	lz_page_run_visitor *visit, void *context)
{
	struct scan *scan = lz_scratch_take(os);
	int found;

	if (scan == NULL)
		return -ENOMEM;
	init_scan(scan, *at, end);
	scan->max_pages = most_pages;
	scan->return_mask |= PAGE_IS_GUARD;
	found = os->ioctl(fd, SCAN_REQUEST, scan);
	if (found == -EINVAL) {
		scan->return_mask &= ~PAGE_IS_GUARD;
		found = os->ioctl(fd, SCAN_REQUEST, scan);
	}
	if (found >= 0 && (scan->walk_end <= *at || scan->walk_end > end))
		found = -EIO;
	if (found >= 0) {
		visit_runs(scan, found, visit, context);
		*at = scan->walk_end;
	}
	lz_scratch_release(os, scan);
	return found < 0 ? found : 0;
}

int lz_scan_begin(struct lz_scan *scan, const struct lz_os *os)
{
	int error = -ENOTTY;

	if (lz_fact_known(LZ_FACT_PAGEMAP_SCAN) != LZ_FACT_UNSUPPORTED)
		error = lz_file_open(&scan->file, os, LZ_PAGEMAP, false);
	if (error)
		scan->file.os = NULL;
	return error;
}

int lz_scan_written(struct lz_scan *scan, uint64_t *at, uint64_t end, struct lz_written_run *runs,
	unsigned most_runs, unsigned most_pages)
{
	const uint64_t not_wanted = PAGE_IS_PFNZERO | PAGE_IS_FILE;
	struct scan request = {
		.size = sizeof request,
		.start = *at,
		.end = end,
		.vec = (uint64_t)(uintptr_t)runs,
		.vec_len = most_runs,
		.max_pages = most_pages,
		.category_inverted = not_wanted,
		.category_mask = not_wanted,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_HUGE,
	};
	int found = scan->file.os->ioctl(scan->file.fd, SCAN_REQUEST, &request);

	lz_fact_learn(LZ_FACT_PAGEMAP_SCAN, found < 0 ? found : 0);
	if (found < 0)
		return found;
	if (request.walk_end <= *at || request.walk_end > end)
		return -EIO;
	*at = request.walk_end;
	return found;
}

void lz_scan_end(struct lz_scan *scan)
{
	if (scan->file.os != NULL)
		lz_file_close(&scan->file);
}

/* Bits of an entry; Documentation/admin-guide/mm/pagemap.rst. */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_FILE (UINT64_C(1) << 61)

int lz_pagemap_is_anonymous(const struct lz_os *os, uint64_t address)
{
	uint64_t entry;
	struct lz_file file;
	ssize_t got;
	int error = lz_file_open(&file, os, LZ_PAGEMAP, false);

	if (error)
		return error;
	got = os->pread(file.fd, &entry, sizeof entry, (int64_t)(address / os->page_size() * sizeof entry));
	lz_file_close(&file);
	if (got != (ssize_t)sizeof entry)
		return got < 0 ? (int)got : -EIO;
	return (entry & (ENTRY_PRESENT | ENTRY_FILE)) == ENTRY_PRESENT;
}
