/*
 * Queries about the allocator: mallinfo(3), malloc_stats(3). Regions are added as mmapped chunks, which glibc
 * would have made of them. malloc_info(3) prints an XML document about the next allocator's own arenas and is
 * not interposed.
 *
 * If no other library defines the function (musl), it reports only regions.
 */
#include <malloc.h>
#include <string.h>

#include "base/text.h"
#include "shim/allocator_fallbacks.h"
#include "shim/shim.h"

/* glibc deprecates mallinfo because its int fields wrap. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#if !defined(__GLIBC_PREREQ) || !__GLIBC_PREREQ(2, 33)
struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct mallinfo2 mallinfo2(void);
#endif

static struct mallinfo no_mallinfo(void)
{
	return (struct mallinfo){.hblks = 0};
}

static struct mallinfo2 no_mallinfo2(void)
{
	return (struct mallinfo2){.hblks = 0};
}

static void no_malloc_stats(void)
{
}

static uint64_t regions(void)
{
	return lz_ensure_ready() ? lz_stats_get(&lz_core.books.stats, regions) : 0;
}

static uint64_t region_bytes(void)
{
	return lz_ensure_ready() ? lz_stats_get(&lz_core.books.stats, region_bytes) : 0;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo info = NEXT(mallinfo, no_mallinfo)();

	info.hblks = (int)((unsigned)info.hblks + (unsigned)regions());
	info.hblkhd = (int)((unsigned)info.hblkhd + (unsigned)region_bytes());
	return info;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 info = NEXT(mallinfo2, no_mallinfo2)();

	info.hblks += regions();
	info.hblkhd += region_bytes();
	return info;
}

/* Written to file descriptor 2; glibc writes there as well, through stdio. */
EXPORT void malloc_stats(void)
{
	char buffer[160];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	NEXT(malloc_stats, no_malloc_stats)();
	if (!lz_ensure_ready() || !lz_core.active)
		return;
	lz_text_string(&text, "lazyzero: ");
	lz_text_u64(&text, regions());
	lz_text_string(&text, " regions, ");
	lz_text_u64(&text, region_bytes());
	lz_text_string(&text, " bytes; ");
	lz_text_u64(&text, lz_stats_get(&lz_core.books.stats, cache_bytes));
	lz_text_string(&text, " bytes kept for reuse\n");
	lz_core.os->write(2, buffer, strlen(buffer));
}
