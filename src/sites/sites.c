/* The table of call sites; see sites.h. */
#include "sites/sites.h"

#include <stdatomic.h>

#include "base/text.h"
#include "os/scratch.h"

#define PROBES 64u

#define add(field, amount) __atomic_fetch_add(&(field), amount, __ATOMIC_RELAXED)

#define LIVE_PROBES 16u

void lz_sites_init(struct lz_sites *sites, struct lz_site_table *table, const struct lz_os *os)
{
	sites->table = table;
	table->modules.os = os;
}

__attribute__((noinline)) static void set_call(struct lz_site *site, const char *call)
{
	struct lz_text text = lz_text_init(site->call, sizeof site->call);

	lz_text_string(&text, call);
}

/* The stacks of a request, in a scratch buffer. */
struct stacks {
	struct lz_stack native;
	struct lz_python_stack python;
};

/* The Python frames, after the first `placed`, that the function of a frame of the stack runs. */
static unsigned frames_run_by(const struct stacks *stacks, unsigned frame, unsigned placed)
{
	const struct lz_stack *stack = &stacks->native;
	unsigned run = 0;

	for (unsigned i = placed; frame + 1 < stack->count && i < stacks->python.count; i++)
		if (stacks->python.frame[i].call >= stack->lowest[frame] &&
			stacks->python.frame[i].call < stack->lowest[frame + 1])
			run = i + 1 - placed;
	return run;
}

__attribute__((noinline)) static void fill_python_frames(
	struct lz_site_table *table, struct lz_site *site, const struct stacks *stacks)
{
	const struct lz_python_stack *python = &stacks->python;
	unsigned placed = 0;

	for (unsigned i = 0; i < stacks->native.count; i++) {
		site->frame[i].python_frames = (uint8_t)frames_run_by(stacks, i, placed);
		placed += site->frame[i].python_frames;
	}
	for (unsigned i = 0; i < python->count; i++)
		site->python[i] = (uint16_t)lz_python_places_find(
			&table->places, table->modules.os, python->python, &python->frame[i]);
	site->python_frames = python->count;
}

/* Apart from the Python frames, because the pass over maps in lz_modules_find is the deepest use of the
 * stack. */
__attribute__((noinline)) static void fill_native_frames(
	struct lz_site_table *table, struct lz_site *site, const struct lz_stack *stack)
{
	for (unsigned i = 0; i < stack->count; i++) {
		/*
		 * The return address may be the first byte of the next module; the call is at the byte before
		 * it.
		 */
		unsigned module = lz_modules_find(&table->modules, stack->frame[i] - 1);

		site->frame[i].module = (uint16_t)module;
		site->frame[i].offset = stack->frame[i];
		if (module != LZ_MODULE_NONE)
			site->frame[i].offset -= table->modules.entry[module].module.base;
	}
	site->frames = stack->count;
}

static uint64_t hash(const struct stacks *stacks)
{
	uint64_t key = stacks->native.count ^ stacks->python.key;

	for (unsigned i = 0; i < stacks->native.count; i++) {
		key = (key ^ stacks->native.frame[i]) * UINT64_C(0x9E3779B97F4A7C15);
		key ^= key >> 29;
	}
	return key != 0 ? key : 1;
}

static unsigned find_stack(struct lz_site_table *table, const struct stacks *stacks, const char *call)
{
	uint64_t key = hash(stacks);
	unsigned at = (unsigned)(key >> 32) % LZ_SITES;

	for (unsigned i = 0; i < PROBES; i++, at = (at + 1) % LZ_SITES) {
		struct lz_site *site = &table->site[at];
		uint64_t found = atomic_load_explicit(&site->key, memory_order_relaxed);

		if (at < LZ_SITE_FIRST)
			continue;
		if (found == 0 && atomic_compare_exchange_strong_explicit(&site->key, &found, key,
					  memory_order_relaxed, memory_order_relaxed)) {
			set_call(site, call);
			fill_native_frames(table, site, &stacks->native);
			fill_python_frames(table, site, stacks);
			atomic_store_explicit(&site->known, true, memory_order_release);
			return at;
		}
		if (found == key)
			return at;
	}
	return LZ_SITE_OTHER;
}

unsigned lz_sites_find(struct lz_sites *sites, const void *caller, const char *call)
{
	struct lz_site_table *table = sites->table;
	struct stacks *stacks = lz_scratch_take(table->modules.os);
	unsigned site = LZ_SITE_OTHER;

	_Static_assert(sizeof *stacks <= LZ_SCRATCH_BYTES, "the stacks fit a scratch buffer");
	if (stacks != NULL && caller != NULL) {
		lz_stack_walk(&stacks->native, &sites->rules, &table->modules, caller);
		lz_python_walk(&stacks->python, &sites->pythons, &table->modules, &stacks->native);
		site = find_stack(table, stacks, call);
	}
	lz_scratch_release(table->modules.os, stacks);
	if (site == LZ_SITE_OTHER) {
		set_call(&table->site[site], "other");
		atomic_store_explicit(&table->site[site].known, true, memory_order_release);
	}
	return site;
}

/* The entry whose base is `base` in the places where that of `wanted` may be; NULL: none. */
static struct lz_listed_region *find_listed(struct lz_site_table *table, uint64_t wanted, uint64_t base)
{
	unsigned at = (unsigned)(wanted * UINT64_C(0x9E3779B97F4A7C15) >> 40) % LZ_SITES_LIVE;

	for (unsigned i = 0; i < LIVE_PROBES; i++, at = (at + 1) % LZ_SITES_LIVE)
		if (atomic_load_explicit(&table->live[at].base, memory_order_relaxed) == base)
			return &table->live[at];
	return NULL;
}

void lz_sites_list_region(
	struct lz_sites *sites, uint64_t base, uint64_t length, unsigned site, bool on_window)
{
	struct lz_listed_region *entry;
	uint64_t none = 0;

	do {
		none = 0;
		entry = find_listed(sites->table, base, 0);
	} while (entry != NULL && !atomic_compare_exchange_strong_explicit(&entry->base, &none, base,
					  memory_order_relaxed, memory_order_relaxed));
	if (entry == NULL)
		return;
	entry->site = site;
	entry->on_window = on_window;
	atomic_store_explicit(&entry->length, length, memory_order_release);
}

void lz_sites_unlist_region(struct lz_sites *sites, uint64_t base)
{
	struct lz_listed_region *entry = find_listed(sites->table, base, base);

	if (entry != NULL)
		lz_sites_unlist(entry);
}

void lz_sites_unlist(struct lz_listed_region *entry)
{
	atomic_store_explicit(&entry->length, 0, memory_order_relaxed);
	atomic_store_explicit(&entry->base, 0, memory_order_release);
}

void lz_sites_list_mapping(struct lz_sites *sites, const struct lz_listed_region *mapping)
{
	for (uint32_t i = 0; i < LZ_SITES_MAPPINGS; i++) {
		struct lz_listed_region *entry = &sites->table->live[LZ_SITES_LIVE + i];
		uint64_t none = 0;
		uint32_t end = atomic_load_explicit(&sites->mappings_end, memory_order_relaxed);

		if (!atomic_compare_exchange_strong_explicit(
			    &entry->base, &none, mapping->base, memory_order_relaxed, memory_order_relaxed))
			continue;
		entry->site = mapping->site;
		entry->on_window = mapping->on_window;
		entry->is_shared = mapping->is_shared;
		atomic_store_explicit(&entry->length, mapping->length, memory_order_release);
		while (end <= i && !atomic_compare_exchange_weak_explicit(&sites->mappings_end, &end, i + 1,
					   memory_order_relaxed, memory_order_relaxed))
			continue;
		return;
	}
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
	add(sites->table->site[site].requested, bytes);
	add_live_bytes(&sites->table->site[site], bytes);
}

void lz_sites_note_allocated(struct lz_sites *sites, unsigned site, uint64_t bytes, uint64_t asked)
{
	add(sites->table->site[site].count, 1);
	add(sites->table->site[site].requested, asked);
	add_live_bytes(&sites->table->site[site], bytes);
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

void lz_sites_note_zeroed(struct lz_sites *sites, unsigned site, const struct lz_site_usage *usage)
{
	add(sites->table->site[site].count, 1);
	add(sites->table->site[site].requested, usage->bytes);
	lz_site_usage_add(&sites->table->site[site].freed, usage);
}

void lz_sites_note_freed(struct lz_sites *sites, unsigned site, const struct lz_site_usage *usage,
	const struct lz_cell_map *cells)
{
	struct lz_site *at = &sites->table->site[site];

	__atomic_fetch_sub(&at->live, usage->bytes, __ATOMIC_RELAXED);
	lz_site_usage_add(&at->freed, usage);
	if (cells == NULL || usage->bytes <= __atomic_load_n(&at->largest, __ATOMIC_RELAXED) ||
		atomic_exchange_explicit(&at->cells_locked, 1, memory_order_acquire) != 0)
		return;
	__atomic_store_n(&at->largest, usage->bytes, __ATOMIC_RELAXED);
	at->cells = *cells;
	atomic_store_explicit(&at->cells_locked, 0, memory_order_release);
}
