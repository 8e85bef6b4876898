/* How much of VmRSS is the windows' own memory; see window.h. */
#include <stdatomic.h>

#include "backing/window/window.h"
#include "os/pagemap.h"

/* Walking over 100 GiB on a window takes a millisecond. */
#define RESIDENT_SAMPLE_MS 100u

static void add_file_pages(void *context, const struct lz_page_run *run)
{
	if (run->file)
		*(uint64_t *)context += run->end - run->start;
}

static uint64_t resident_bytes(struct lz_backings *backings)
{
	uintptr_t start = 0;
	struct lz_window_part part;
	uint64_t bytes = 0;

	for (; lz_window_next_part(backings, start, UINTPTR_MAX, &part); start = part.end)
		if (lz_pagemap_walk(backings->os, part.start, part.end, add_file_pages, &bytes) != 0)
			break;
	return bytes;
}

void lz_window_sample_resident(struct lz_backings *backings, bool now)
{
	uint64_t bytes, now_ms = backings->os->now_ms();
	_Atomic uint64_t *sampled_ms = &backings->windows->sampled_ms;

	if (!now && now_ms - atomic_load_explicit(sampled_ms, memory_order_relaxed) < RESIDENT_SAMPLE_MS)
		return;
	atomic_store_explicit(sampled_ms, now_ms, memory_order_relaxed);
	bytes = resident_bytes(backings);
	if (bytes > lz_stats_get(&backings->books->stats, window_resident_peak))
		lz_stats_set(&backings->books->stats, window_resident_peak, bytes);
}
