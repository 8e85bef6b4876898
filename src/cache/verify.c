/* Checks whether a cached region is still the mapping that was cached; see internal.h. */
#include <errno.h>
#include <stdatomic.h>

#include "cache/internal.h"
#include "os/descriptors.h"
#include "os/procfs.h"

bool lz_cache_region_may_be_stale(const struct lz_cache *cache, const struct lz_cached_region *region)
{
	const struct lz_books *books = cache->books;

	return region->changes !=
		       atomic_load_explicit(&books->regions.untracked_changes, memory_order_relaxed) ||
	       lz_books_may_be_stale(books);
}

int lz_cache_advise_fork(struct lz_cache *cache, const struct lz_cached_region *region, int advice)
{
	uintptr_t start = region->how.backing->dontfork_start(cache->backings, region->base);

	return cache->os->madvise((void *)start, region->base + region->length - start, advice);
}

/* Reads /proc/self/maps, which takes 0.3 us for each mapping of the process. Used before Linux 6.11. */
static bool is_intact_by_maps(struct lz_cache *cache, const struct lz_cached_region *region)
{
	const struct lz_backing *backing = region->how.backing;
	uintptr_t at = backing->dontfork_start(cache->backings, region->base);
	uintptr_t end = region->base + region->length;
	struct lz_mapping mapping;
	struct lz_line_reader lines;
	char *line;

	if (lz_line_reader_open(&lines, cache->os, LZ_MAPS) != 0)
		return false;
	while (at < end && (line = lz_line_reader_next(&lines)) != NULL) {
		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= at)
			continue;
		if (!mapping.readable || !mapping.writable || mapping.executable || mapping.shared ||
			!backing->is_intact_mapping(cache->backings, &mapping, &at, end))
			break;
	}
	lz_line_reader_close(&lines);
	return at >= end;
}

bool lz_cache_region_is_intact(struct lz_cache *cache, const struct lz_cached_region *region)
{
	bool intact;
	int error = region->how.backing->is_intact(cache->backings, region->base, region->length,
		lz_cache_region_may_be_stale(cache, region), &intact);

	/*
	 * Read even if the region is not known to be stale: a mapping made over it by a system call that the
	 * library did not see leaves no trace in the books.
	 */
	return error == 0 ? intact : is_intact_by_maps(cache, region);
}
