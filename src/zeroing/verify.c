/* Whether untouched pages of a range read as zero, and can be written; see internal.h. */
#include <errno.h>

#include "accounting/window_map.h"
#include "os/procfs.h"
#include "os/scratch.h"
#include "os/vma.h"
#include "zeroing/internal.h"

/*
 * The kernel is asked whether a mapping is a window, and not the map of windows: without the mmap family, or
 * by a system call of its own, the program may have mapped a file over a part of a region on a window.
 */
static bool mapping_reads_as_zero(const struct lz_mapping *mapping)
{
	/* Some file systems have an inode 0. */
	bool is_anonymous = mapping->inode == 0 && mapping->path[0] != '/';

	return mapping->readable && mapping->writable && !mapping->shared &&
	       (is_anonymous || lz_mapping_is_window(mapping));
}

static bool reads_as_zero_by_maps(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	struct lz_mapping mapping;
	struct lz_line_reader lines;
	uintptr_t at = start;
	char *line;

	if (lz_line_reader_open(&lines, zeroing->os, LZ_MAPS) != 0)
		return false;
	while (at < end && (line = lz_line_reader_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= at)
			continue;
		if (mapping.start > at || !mapping_reads_as_zero(&mapping))
			break;
		at = mapping.end;
	}
	lz_line_reader_close(&lines);
	return at >= end;
}

bool lz_zeroing_untouched_reads_as_zero(struct lz_zeroing *zeroing, uintptr_t start, uintptr_t end)
{
	char *name = lz_scratch_take(zeroing->os);
	struct lz_vma_queries queries = {.query = NULL};
	struct lz_vma vma;
	uintptr_t at = start;
	int error = name == NULL ? -ENOMEM : lz_vma_begin(&queries, zeroing->os);

	while (error == 0 && at < end) {
		error = lz_vma_query_next(&queries, at, &vma, name, LZ_SCRATCH_BYTES);
		if (error == 0 && !mapping_reads_as_zero(&(struct lz_mapping){.inode = vma.inode,
					  .readable = vma.readable,
					  .writable = vma.writable,
					  .shared = vma.shared,
					  .path = name}))
			error = -EPERM;
		at = vma.end;
	}
	lz_vma_end(&queries);
	lz_scratch_release(zeroing->os, name);
	if (error == -ENOTTY)
		return reads_as_zero_by_maps(zeroing, start, end);
	return error == 0;
}
