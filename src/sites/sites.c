/* The table of call sites; see sites.h. */
#include "sites/sites.h"

#include <stdatomic.h>
#include <string.h>

#include "os/descriptors.h"
#include "os/scratch.h"

#define PROBES 64u

#define add(field, amount) __atomic_fetch_add(&(field), amount, __ATOMIC_RELAXED)

/* The number of a module plus 1; 0 if the table is full. Two threads may enter the same module twice. */
static uint16_t enter_module(struct lz_sites *sites, const struct lz_module *module)
{
	uint32_t count = atomic_load_explicit(&sites->modules, memory_order_acquire);

	for (uint32_t i = 0; i < count && i < LZ_SITE_MODULES; i++)
		if (atomic_load_explicit(&sites->module[i].known, memory_order_acquire) &&
			sites->module[i].module.base == module->base &&
			sites->module[i].module.inode == module->inode &&
			strcmp(sites->module[i].module.path, module->path) == 0)
			return (uint16_t)(i + 1);
	if (count >= LZ_SITE_MODULES)
		return 0;
	count = atomic_fetch_add_explicit(&sites->modules, 1, memory_order_relaxed);
	if (count >= LZ_SITE_MODULES)
		return 0;
	sites->module[count].module = *module;
	atomic_store_explicit(&sites->module[count].known, true, memory_order_release);
	return (uint16_t)(count + 1);
}

static void fill_site(struct lz_sites *sites, struct lz_site *site, uintptr_t caller, const char *call)
{
	struct lz_module *module = lz_scratch_take(sites->os);

	_Static_assert(sizeof *module <= LZ_SCRATCH_BYTES, "a module fits a scratch buffer");
	site->call = call;
	site->offset = caller;
	/* The return address may be the first byte of the next module; the call is at the byte before it. */
	if (module != NULL && lz_module_find(sites->os, LZ_MAPS, caller - 1, module) == 0) {
		site->module = enter_module(sites, module);
		if (site->module != 0)
			site->offset = caller - module->base;
	}
	lz_scratch_release(sites->os, module);
	atomic_store_explicit(&site->known, true, memory_order_release);
}

unsigned lz_sites_find(struct lz_sites *sites, const void *caller, const char *call)
{
	uintptr_t key = (uintptr_t)caller;
	unsigned at = (unsigned)(key * UINT64_C(0x9E3779B97F4A7C15) >> 54);

	for (unsigned i = 0; key != 0 && i < PROBES; i++, at = (at + 1) % LZ_SITES) {
		struct lz_site *site = &sites->site[at];
		uintptr_t found = atomic_load_explicit(&site->caller, memory_order_relaxed);

		if (at < LZ_SITE_FIRST)
			continue;
		if (found == 0 && atomic_compare_exchange_strong_explicit(&site->caller, &found, key,
					  memory_order_relaxed, memory_order_relaxed)) {
			fill_site(sites, site, key, call);
			return at;
		}
		if (found == key)
			return at;
	}
	sites->site[LZ_SITE_OTHER].call = "other";
	atomic_store_explicit(&sites->site[LZ_SITE_OTHER].known, true, memory_order_release);
	return LZ_SITE_OTHER;
}

static void add_live_bytes(struct lz_site *at, uint64_t bytes)
{
	uint64_t alive = add(at->live, bytes) + bytes;
	uint64_t peak = __atomic_load_n(&at->peak, __ATOMIC_RELAXED);

	while (alive > peak && !__atomic_compare_exchange_n(
				       &at->peak, &peak, alive, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void lz_sites_note_grown(struct lz_sites *sites, unsigned site, uint64_t bytes)
{
	add(sites->site[site].requested, bytes);
	add_live_bytes(&sites->site[site], bytes);
}

void lz_sites_note_allocated(struct lz_sites *sites, unsigned site, uint64_t bytes, uint64_t asked)
{
	add(sites->site[site].count, 1);
	add(sites->site[site].requested, asked);
	add_live_bytes(&sites->site[site], bytes);
}

void lz_site_usage_add(struct lz_site_usage *sum, const struct lz_site_usage *usage)
{
	add(sum->regions, usage->regions);
	add(sum->bytes, usage->bytes);
	add(sum->unknown_bytes, usage->unknown_bytes);
	add(sum->written, usage->written);
	add(sum->zero, usage->zero);
	add(sum->sampled, usage->sampled);
	add(sum->written_zero, usage->written_zero);
	add(sum->tables, usage->tables);
	add(sum->window_tables, usage->window_tables);
	add(sum->full_tables, usage->full_tables);
	add(sum->on_window, usage->on_window);
}

void lz_sites_note_freed(struct lz_sites *sites, unsigned site, const struct lz_site_usage *usage,
	const struct lz_cell_map *cells)
{
	struct lz_site *at = &sites->site[site];

	__atomic_fetch_sub(&at->live, usage->bytes, __ATOMIC_RELAXED);
	lz_site_usage_add(&at->freed, usage);
	if (cells == NULL || usage->bytes <= __atomic_load_n(&at->largest, __ATOMIC_RELAXED) ||
		atomic_exchange_explicit(&at->cells_locked, 1, memory_order_acquire) != 0)
		return;
	__atomic_store_n(&at->largest, usage->bytes, __ATOMIC_RELAXED);
	at->cells = *cells;
	atomic_store_explicit(&at->cells_locked, 0, memory_order_release);
}

void lz_sites_reset(struct lz_sites *sites)
{
	for (unsigned i = 0; i < LZ_SITES; i++) {
		struct lz_site *site = &sites->site[i];

		site->count = site->requested = site->live = site->peak = site->largest = 0;
		site->freed = (struct lz_site_usage){0};
		atomic_store_explicit(&site->cells_locked, 0, memory_order_relaxed);
	}
}
