/* Copies that skip pages which were never written; see sparse_copy.h. */
#include "backing/sparse_copy.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "os/mman.h"
#include "os/pagemap.h"
#include "os/procfs.h"

#define MAPS "/proc/thread-self/maps"

static bool is_zero(const char *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

struct copy {
	const struct lz_os *os;
	uintptr_t from, to;
	size_t page;
};

static void copy_pages(const struct copy *copy, uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start; at < end; at += copy->page)
		if (!is_zero((const char *)at, copy->page))
			/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): nothing is mapped at 0 */
			memcpy((void *)(copy->to + (at - copy->from)), (const void *)at, copy->page);
}

/*
 * Pages that are not resident are swapped out, or are guard pages (MADV_GUARD_INSTALL), which become guard
 * pages in the copy.
 */
static void copy_nonresident(const struct copy *copy, uintptr_t start, uintptr_t end)
{
	for (uintptr_t at = start; at < end; at += copy->page) {
		void *to = (void *)(copy->to + (at - copy->from));

		if (copy->os->madvise((void *)at, copy->page, MADV_POPULATE_READ) == -EFAULT)
			copy->os->madvise(to, copy->page, MADV_GUARD_INSTALL);
		else
			memcpy(to, (const void *)at, copy->page);
	}
}

/*
 * The kernel does not report its huge zero page as a zero page (since 6.7), so unreported pages are compared
 * with zero.
 */
static void copy_page_run(void *context, const struct lz_page_run *run)
{
	if (run->not_present)
		copy_nonresident(context, run->start, run->end);
	else if (!run->zero && !run->file)
		copy_pages(context, run->start, run->end);
}

static void copy_written_pages(struct lz_backings *backings, uintptr_t start, uintptr_t end, uintptr_t to)
{
	struct copy copy = {.os = backings->os, .from = start, .to = to, .page = backings->books->page};

	if (lz_pagemap_walk(backings->os, start, end, copy_page_run, &copy) != 0)
		copy_pages(&copy, start, end);
}

/* Whether pages without a page-table entry read as zero: anonymous memory and windows. */
static bool reads_as_zero(const struct lz_mapping *mapping)
{
	return (mapping->inode == 0 && !mapping->shared) || lz_mapping_is_window(mapping);
}

void lz_sparse_copy_pages(struct lz_backings *backings, uintptr_t start, uintptr_t end, uintptr_t to)
{
	struct lz_mapping mapping;
	struct lz_line_reader lines;
	char *line;

	if (!atomic_load_explicit(&backings->may_map_over_regions, memory_order_relaxed)) {
		copy_written_pages(backings, start, end, to);
		return;
	}
	if (lz_line_reader_open(&lines, backings->os, MAPS) != 0) {
		copy_pages(
			&(struct copy){.from = start, .to = to, .page = backings->books->page}, start, end);
		return;
	}
	/*
	 * Reading /proc/self/maps continues after the last mapping it returned, although the copy adds
	 * mappings.
	 */
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		uintptr_t from, until, target;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= start)
			continue;
		from = lz_max_u64(start, mapping.start);
		until = lz_min_u64(end, mapping.end);
		if (from >= until)
			break;
		target = to + (from - start);
		if (reads_as_zero(&mapping))
			copy_written_pages(backings, from, until, target);
		else
			memcpy((void *)target, (const void *)from, until - from);
	}
	lz_line_reader_close(&lines);
}

void lz_sparse_copy(struct lz_backings *backings, const void *from, size_t size, void *to)
{
	uintptr_t start = (uintptr_t)from, end = start + size, target = (uintptr_t)to;
	uintptr_t first = start + (-start & (backings->books->page - 1)),
		  last = end & ~(backings->books->page - 1);

	if (first >= last) {
		memcpy(to, from, size);
		return;
	}
	memcpy(to, from, first - start);
	lz_sparse_copy_pages(backings, first, last, target + (first - start));
	memcpy((void *)(target + (last - start)), (const void *)last, end - last);
}
