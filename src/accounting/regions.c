/* The table of regions; see regions.h. */
#include "accounting/regions.h"

#include <errno.h>
#include <stdatomic.h>

#define load(field, order) atomic_load_explicit(&(field), memory_order_##order)
#define store(field, value, order) atomic_store_explicit(&(field), value, memory_order_##order)

void lz_regions_init(struct lz_regions *regions, const struct lz_os *os)
{
	lz_pool_init(&regions->pool, os, sizeof(struct lz_region_record),
		offsetof(struct lz_region_record, free_link));
}

/*
 * Regions start on page boundaries, mostly on multiples of 2 MiB, so the hash must mix in the high bits
 * (Fibonacci hashing).
 */
static _Atomic(struct lz_region_record *) *bucket_of(struct lz_regions *regions, uintptr_t base)
{
	return &regions->bucket[(base >> 12) * UINT64_C(0x9E3779B97F4A7C15) >> 50];
}

struct lz_region_record *lz_regions_find(struct lz_regions *regions, uintptr_t base)
{
	for (;;) {
		uint64_t before = load(regions->unlink_count, acquire);
		struct lz_region_record *region = load(*bucket_of(regions, base), acquire);

		while (region != NULL && (load(region->base, relaxed) != base ||
						 load(region->state, acquire) != LZ_REGION_LIVE))
			region = load(region->next, acquire);
		/*
		 * If a region is unlinked and reused while this reader is at it, its link leads into another
		 * bucket. The count then has changed, and the search is repeated. So a live region of the
		 * caller is never missed.
		 */
		if (region != NULL || load(regions->unlink_count, acquire) == before)
			return region;
	}
}

bool lz_regions_claim(struct lz_region_record *region)
{
	uint32_t live = LZ_REGION_LIVE;

	return atomic_compare_exchange_strong_explicit(
		&region->state, &live, LZ_REGION_CLAIMED, memory_order_acq_rel, memory_order_relaxed);
}

void lz_regions_unclaim(struct lz_region_record *region)
{
	store(region->state, LZ_REGION_LIVE, release);
}

/* Publishes a record that is in no bucket. All its members are stored before it can be found. */
static void link_record(
	struct lz_regions *regions, struct lz_region_record *region, uintptr_t base, size_t length)
{
	_Atomic(struct lz_region_record *) *bucket = bucket_of(regions, base);

	store(region->base, base, relaxed);
	store(region->length, length, relaxed);
	store(region->state, LZ_REGION_LIVE, release);
	store(region->next, load(*bucket, relaxed), release);
	store(*bucket, region, release);
}

static void unlink_record(struct lz_regions *regions, struct lz_region_record *region)
{
	_Atomic(struct lz_region_record *) *link = bucket_of(regions, load(region->base, relaxed));

	while (load(*link, relaxed) != region)
		link = &load(*link, relaxed)->next;
	store(*link, load(region->next, relaxed), release);
	atomic_fetch_add_explicit(&regions->unlink_count, 1, memory_order_release);
}

void lz_regions_filter_add(struct lz_regions *regions, uintptr_t base, size_t length)
{
	uintptr_t first = base >> LZ_REGION_FILTER_SHIFT,
		  last = (base + length - 1) >> LZ_REGION_FILTER_SHIFT;

	for (uintptr_t at = first; at <= last;) {
		_Atomic uint8_t *byte = &regions->filter[at / 8 % LZ_REGION_FILTER_BYTES];

		if (at % 8 == 0 && last - at >= 7) {
			store(*byte, 0xff, relaxed);
			at += 8;
		} else {
			store(*byte, (uint8_t)(load(*byte, relaxed) | 1u << at % 8), relaxed);
			at++;
		}
	}
}

bool lz_regions_may_be_near(const struct lz_regions *regions, uintptr_t p)
{
	uintptr_t at = p >> LZ_REGION_FILTER_SHIFT;

	return (load(regions->filter[at / 8 % LZ_REGION_FILTER_BYTES], relaxed) >> at % 8 & 1) != 0;
}

int lz_regions_insert(
	struct lz_regions *regions, uintptr_t base, size_t length, struct lz_region_attributes attributes)
{
	struct lz_region_record *region = lz_pool_alloc(&regions->pool);

	if (region == NULL)
		return -ENOMEM;
	region->backing = attributes.backing;
	region->huge_pages_refused = attributes.huge_pages_refused;
	region->on_window = attributes.on_window;
	region->accounted = attributes.accounted;
	region->altered_by_program = false;
	region->changes_at_creation = load(regions->untracked_changes, relaxed);
	region->fully_resident = false;
	lz_regions_filter_add(regions, base, length);
	region->site = 0;
	link_record(regions, region, base, length);
	return 0;
}

void lz_regions_rebase(
	struct lz_regions *regions, struct lz_region_record *region, uintptr_t base, size_t length)
{
	unlink_record(regions, region);
	lz_regions_filter_add(regions, base, length);
	link_record(regions, region, base, length);
}

void lz_regions_unlink(struct lz_regions *regions, struct lz_region_record *region)
{
	unlink_record(regions, region);
	lz_pool_free(&regions->pool, region);
}

void lz_regions_defer_unlink(struct lz_regions *regions, struct lz_region_record *region)
{
	store(region->state, LZ_REGION_UNLINK_DEFERRED, release);
	atomic_fetch_add_explicit(&regions->deferred_count, 1, memory_order_relaxed);
}

void lz_regions_for_each(struct lz_regions *regions,
	void (*visit)(void *context, struct lz_region_record *region), void *context)
{
	for (size_t i = 0; i < LZ_REGION_BUCKETS; i++) {
		struct lz_region_record *region = load(regions->bucket[i], acquire);

		/* Bounded: without the lock, a reused record may lead back to an earlier one. */
		for (unsigned step = 0; region != NULL && step < 65536; step++) {
			if (load(region->state, acquire) == LZ_REGION_LIVE)
				visit(context, region);
			region = load(region->next, acquire);
		}
	}
}

void lz_regions_unlink_deferred(struct lz_regions *regions)
{
	if (atomic_exchange_explicit(&regions->deferred_count, 0, memory_order_relaxed) == 0)
		return;
	for (size_t i = 0; i < LZ_REGION_BUCKETS; i++) {
		struct lz_region_record *region = load(regions->bucket[i], relaxed);

		while (region != NULL) {
			struct lz_region_record *next = load(region->next, relaxed);

			if (load(region->state, acquire) == LZ_REGION_UNLINK_DEFERRED)
				lz_regions_unlink(regions, region);
			region = next;
		}
	}
}
