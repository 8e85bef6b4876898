/* The table of call sites; see sites.h. */
#include "sites/sites.h"

#include <stdatomic.h>

#include "os/scratch.h"

#define PROBES 64u

#define add(field, amount) __atomic_fetch_add(&(field), amount, __ATOMIC_RELAXED)

void lz_sites_init(struct lz_sites *sites, const struct lz_os *os)
{
	sites->modules.os = os;
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
	struct lz_sites *sites, struct lz_site *site, const struct lz_python_stack *python)
{
	for (unsigned i = 0; i < python->count; i++)
		site->python[i] = (uint16_t)lz_python_places_find(
			&sites->places, sites->modules.os, python->python, &python->frame[i]);
	site->python_frames = python->count;
}

__attribute__((noinline)) static void fill_site(
	struct lz_sites *sites, struct lz_site *site, const struct stacks *stacks, const char *call)
{
	const struct lz_stack *stack = &stacks->native;
	unsigned placed = 0;

	site->call = call;
	for (unsigned i = 0; i < stack->count; i++) {
		/*
		 * The return address may be the first byte of the next module; the call is at the byte before
		 * it.
		 */
		unsigned module = lz_modules_find(&sites->modules, stack->frame[i] - 1);

		site->frame[i].module = (uint16_t)module;
		site->frame[i].offset = stack->frame[i];
		if (module != LZ_MODULE_NONE)
			site->frame[i].offset -= sites->modules.entry[module].module.base;
		site->frame[i].python_frames = (uint8_t)frames_run_by(stacks, i, placed);
		placed += site->frame[i].python_frames;
	}
	site->frames = stack->count;
	fill_python_frames(sites, site, &stacks->python);
	atomic_store_explicit(&site->known, true, memory_order_release);
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

static unsigned find_stack(struct lz_sites *sites, const struct stacks *stacks, const char *call)
{
	uint64_t key = hash(stacks);
	unsigned at = (unsigned)(key >> 32) % LZ_SITES;

	for (unsigned i = 0; i < PROBES; i++, at = (at + 1) % LZ_SITES) {
		struct lz_site *site = &sites->site[at];
		uint64_t found = atomic_load_explicit(&site->key, memory_order_relaxed);

		if (at < LZ_SITE_FIRST)
			continue;
		if (found == 0 && atomic_compare_exchange_strong_explicit(&site->key, &found, key,
					  memory_order_relaxed, memory_order_relaxed)) {
			fill_site(sites, site, stacks, call);
			return at;
		}
		if (found == key)
			return at;
	}
	return LZ_SITE_OTHER;
}

unsigned lz_sites_find(struct lz_sites *sites, const void *caller, const char *call)
{
	struct stacks *stacks = lz_scratch_take(sites->modules.os);
	unsigned site = LZ_SITE_OTHER;

	_Static_assert(sizeof *stacks <= LZ_SCRATCH_BYTES, "the stacks fit a scratch buffer");
	if (stacks != NULL && caller != NULL) {
		lz_stack_walk(&stacks->native, &sites->rules, &sites->modules, caller);
		lz_python_walk(&stacks->python, &sites->pythons, &sites->modules, &stacks->native);
		site = find_stack(sites, stacks, call);
	}
	lz_scratch_release(sites->modules.os, stacks);
	if (site == LZ_SITE_OTHER) {
		sites->site[site].call = "other";
		atomic_store_explicit(&sites->site[site].known, true, memory_order_release);
	}
	return site;
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

		/* Entries that were never used stay untouched memory. */
		if (site->count == 0 && site->freed.bytes == 0)
			continue;
		site->count = site->requested = site->live = site->peak = site->largest = 0;
		site->freed = (struct lz_site_usage){0};
		atomic_store_explicit(&site->cells_locked, 0, memory_order_relaxed);
	}
}
