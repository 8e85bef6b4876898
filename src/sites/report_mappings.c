/* The program's own mappings in a report; see report.h. */
#include <stdatomic.h>

#include "base/checked.h"
#include "os/scratch.h"
#include "sites/report_internal.h"

/* Calls visit for each listed mapping that overlaps [start, end), until it returns true. */
static bool find_overlap(struct lz_reporter *reporter, uintptr_t start, uintptr_t end,
	bool (*visit)(struct lz_reporter *, struct lz_listed_region *, uintptr_t, uintptr_t))
{
	struct lz_sites *sites = &reporter->report->sites;
	uint32_t count = atomic_load_explicit(&sites->mappings_end, memory_order_relaxed);

	for (uint32_t i = 0; i < count; i++) {
		struct lz_listed_region *entry = &sites->table->live[LZ_SITES_LIVE + i];
		uint64_t base = atomic_load_explicit(&entry->base, memory_order_relaxed);
		uint64_t length = atomic_load_explicit(&entry->length, memory_order_acquire);

		if (base != 0 && length != 0 && base < end && base + length > start &&
			visit(reporter, entry, start, end))
			return true;
	}
	return false;
}

static bool has_mappings(const struct lz_reporter *reporter)
{
	return lz_report_is_active(reporter) &&
	       atomic_load_explicit(&reporter->report->sites.mappings_end, memory_order_relaxed) != 0;
}

static bool contains(
	struct lz_reporter *reporter, struct lz_listed_region *entry, uintptr_t start, uintptr_t end)
{
	(void)reporter;
	return !entry->is_shared && entry->base <= start && entry->base + entry->length >= end;
}

/* Not inlined, so that its frame is not on the stack while the file of the table is made. */
__attribute__((noinline)) static void add_mapping(struct lz_reporter *reporter,
	const struct lz_request *request, uintptr_t start, uintptr_t end, unsigned kind)
{
	struct lz_sites *sites = &reporter->report->sites;
	struct lz_listed_region mapping = {.base = start,
		.length = end - start,
		.site = lz_sites_find(sites, request->caller, request->call),
		.on_window = (kind & LZ_REGION_ON_WINDOW) != 0,
		.is_shared = (kind & LZ_REGION_SHARED) != 0};

	lz_sites_note_allocated(sites, mapping.site, end - start, request->size);
	lz_sites_list_mapping(sites, &mapping);
	lz_report_update_identity(reporter);
}

void lz_report_mapping_made(struct lz_reporter *reporter, const struct lz_request *request, uintptr_t start,
	uintptr_t end, unsigned kind)
{
	if (lz_report_has_own_table(reporter) && !find_overlap(reporter, start, end, contains))
		add_mapping(reporter, request, start, end, kind);
}

/* Counts the part of a mapping in [start, end) as freed, and lists what remains of it. */
static bool remove_part(
	struct lz_reporter *reporter, struct lz_listed_region *entry, uintptr_t start, uintptr_t end)
{
	struct lz_sites *sites = &reporter->report->sites;
	struct lz_listed_region whole = *entry, rest = *entry;
	uint64_t whole_end = whole.base + whole.length;
	struct lz_inspection *inspection;

	start = lz_max_u64(start, whole.base);
	end = lz_min_u64(end, whole_end);
	inspection = lz_report_inspect(
		reporter, start, end, lz_region_kind_of(&whole), lz_report_freed_sample_pages(end - start));
	if (inspection == NULL)
		return false;
	inspection->usage.regions = start == whole.base && end == whole_end;
	inspection->usage.on_window *= inspection->usage.regions;
	lz_sites_note_freed(sites, whole.site, &inspection->usage,
		inspection->usage.regions != 0 ? &inspection->cells : NULL);
	lz_scratch_release(reporter->os, inspection);
	lz_sites_unlist(entry);
	if (start > whole.base) {
		rest.length = start - whole.base;
		lz_sites_list_mapping(sites, &rest);
	}
	if (end < whole_end) {
		rest.base = end;
		rest.length = whole_end - end;
		lz_sites_list_mapping(sites, &rest);
	}
	return false;
}

void lz_report_before_unmap(struct lz_reporter *reporter, uintptr_t start, uintptr_t end)
{
	if (has_mappings(reporter) && reporter->books->geometry != NULL && lz_report_has_own_table(reporter))
		find_overlap(reporter, start, end, remove_part);
}

static bool remove_segment(
	struct lz_reporter *reporter, struct lz_listed_region *entry, uintptr_t start, uintptr_t end)
{
	(void)end;
	if (entry->base == start && entry->is_shared)
		remove_part(reporter, entry, start, start + entry->length);
	return entry->base == 0;
}

void lz_report_before_detach(struct lz_reporter *reporter, uintptr_t start)
{
	if (has_mappings(reporter) && reporter->books->geometry != NULL && lz_report_has_own_table(reporter))
		find_overlap(reporter, start, start + 1, remove_segment);
}

void lz_report_mapping_moved(
	struct lz_reporter *reporter, uintptr_t old_start, size_t old_length, uintptr_t start, size_t length)
{
	struct lz_sites *sites;

	if (!has_mappings(reporter) || !lz_report_has_own_table(reporter))
		return;
	sites = &reporter->report->sites;
	for (uint32_t i = 0; i < LZ_SITES_MAPPINGS; i++) {
		struct lz_listed_region *entry = &sites->table->live[LZ_SITES_LIVE + i];

		if (entry->base != old_start || entry->length != old_length)
			continue;
		if (length > old_length)
			lz_sites_note_grown(sites, entry->site, length - old_length);
		atomic_store_explicit(&entry->length, 0, memory_order_relaxed);
		atomic_store_explicit(&entry->base, start, memory_order_relaxed);
		atomic_store_explicit(&entry->length, length, memory_order_release);
		return;
	}
}
