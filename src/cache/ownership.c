/* Whether a kept region is still the mapping that was kept; see internal.h. */
#include <errno.h>
#include <stdatomic.h>

#include "cache/internal.h"
#include "os/descriptors.h"
#include "os/procfs.h"

bool lz_cache_is_doubtful(const struct lz_cache *cache, const struct lz_cached_region *region)
{
	const struct lz_books *books = cache->books;

	return region->changes != atomic_load_explicit(&books->regions.changes, memory_order_relaxed) ||
	       lz_books_are_doubtful(books);
}

int lz_cache_advise_fork(struct lz_cache *cache, const struct lz_cached_region *region, int advice)
{
	uintptr_t start = region->how.backing->keep_mark_start(cache->backings, region->base);

	return cache->os->madvise((void *)start, region->base + region->length - start, advice);
}

/* By /proc/self/maps, which takes 0.3 us for each mapping of the process: before Linux 6.11. */
static bool is_ours_by_maps(struct lz_cache *cache, const struct lz_cached_region *region)
{
	const struct lz_backing *backing = region->how.backing;
	uintptr_t at = backing->keep_mark_start(cache->backings, region->base);
	uintptr_t end = region->base + region->length;
	struct lz_mapping mapping;
	struct lz_lines lines;
	char *line;

	if (lz_lines_open(&lines, cache->os, LZ_MAPS) != 0)
		return false;
	while (at < end && (line = lz_lines_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= at)
			continue;
		if (!mapping.readable || !mapping.writable || mapping.executable || mapping.shared ||
			!backing->is_intact_mapping(cache->backings, &mapping, &at, end))
			break;
	}
	lz_lines_close(&lines);
	return at >= end;
}

bool lz_cache_is_ours(struct lz_cache *cache, const struct lz_cached_region *region)
{
	bool intact;
	int error = region->how.backing->is_intact(
		cache->backings, region->base, region->length, lz_cache_is_doubtful(cache, region), &intact);

	/* A mapping made over the region by a system call that nobody heard of makes nothing doubtful. */
	return error == 0 ? intact : is_ours_by_maps(cache, region);
}
