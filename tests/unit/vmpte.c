/*
 * Compares the page-table model with the kernel, to the byte.
 *
 * Random layouts are made through the core's mmap family, in address space that nothing else uses, around the
 * boundaries of tables: adjacent and overlapping ranges, holes, partial unmaps, fixed mappings over others,
 * all forms of mremap, mprotect to and from PROT_NONE, private, shared and file memory. Then every page that
 * /proc/self/maps shows as accessible is read. VmPTE must have grown by what the ledger predicts.
 *
 * No heap and no stdio are used while measuring, because both would change VmPTE. LZ_LAYOUTS sets the number
 * of layouts. The default is 2500, or as many as are done in 10 s, but at least 500. LZ_SEED sets the first
 * seed. A failure prints both, to repeat it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "os/procfs.h"

#define MAX_CALLS 40

#define LAYOUTS 2500u
#define MIN_LAYOUTS 500u
#define SECONDS 10

static struct lz_core core;
static struct lz_ledger area_ledger;
static uintptr_t area; /* start of the test's address space, on a boundary of the second highest level */
static uint64_t area_bytes;
static unsigned area_level; /* the area shares no tables of this level and below */
static uint64_t random_state;
static int file;

static const char *call_log[MAX_CALLS];
static int call_count;

static uint64_t random_below(uint64_t limit)
{
	/* xorshift64*: the same sequence everywhere. */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(2685821657736338717) % limit;
}

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

/*
 * Finds address space of two spans of the second highest level, aligned to it: of the tables that map it,
 * only the top one is shared.
 */
static void find_area(void)
{
	const struct lz_geometry *geometry = core.books.geometry;
	/*
	 * With five levels, the PUD's span: three spans of the P4D exceed what mmap returns without a hint.
	 */
	area_level = geometry->levels > 4 ? 2 : geometry->levels - 2u;
	uint64_t span = UINT64_C(1) << lz_table_span_shift(geometry, area_level);
	char *at;

	area_bytes = 2 * span;
	at = mmap(NULL, area_bytes + span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		fail("reserving address space");
	area = ((uintptr_t)at + span - 1) & ~(span - 1);
	munmap(at, area_bytes + span);
}

/* Returns a page address near a boundary of some level, or in one of a few tables that are often used. */
static uintptr_t random_place(void)
{
	const struct lz_geometry *geometry = core.books.geometry;
	unsigned level = (unsigned)random_below(area_level + 1u);
	uint64_t span = UINT64_C(1) << lz_table_span_shift(geometry, level);
	uint64_t boundary = random_below(3) * span;
	uint64_t near = random_below(2048) * core.books.page;

	if (boundary + (UINT64_C(4) << 20) > area_bytes - (UINT64_C(64) << 20))
		boundary = span / 2;
	if (boundary >= near && random_below(2))
		return area + boundary - near;
	return area + boundary + near;
}

static size_t random_length(void)
{
	return (size_t)(1 + random_below(random_below(6) ? 48 : 1100)) * core.books.page;
}

static void do_mmap(int protection, int kind)
{
	int flags = MAP_FIXED;
	uintptr_t at = random_place();
	size_t length = random_length();
	size_t spare = kind == 1 ? 1200 * core.books.page : 0;

	flags |= kind == 0   ? MAP_PRIVATE | MAP_ANONYMOUS
		 : kind == 1 ? MAP_SHARED | MAP_ANONYMOUS
			     : MAP_SHARED;
	/*
	 * mremap can grow shared memory only up to the size of its object, so the object is larger than the
	 * mapping.
	 */
	lz_calls_mmap(
		&core.calls, (void *)at, length + spare, protection, flags, kind == 2 ? file : -1, 0, NULL);
	if (spare != 0)
		lz_calls_munmap(&core.calls, (void *)(at + length), spare);
}

static void do_mremap(void)
{
	uintptr_t at = random_place(), to = random_place();
	size_t old_length = random_length(), new_length = random_length();
	struct lz_range *range = lz_ledger_find_at_or_above(&core.books.ledger, at);
	int flags = (int[]){0, MREMAP_MAYMOVE | MREMAP_FIXED,
		MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP}[random_below(3)];

	/* Use an existing range, mostly all of it. */
	if (range != NULL && range->start >= area && range->start < area + area_bytes) {
		at = range->start;
		if (random_below(3))
			old_length = range->end - range->start;
	}
	if (flags & MREMAP_DONTUNMAP)
		new_length = old_length;
	if (random_below(8) == 0)
		old_length = 0;
	lz_calls_mremap(&core.calls, (void *)at, old_length, new_length, flags, (void *)to, NULL);
}

static void random_call(void)
{
	static const char *const names[] = {"mmap private", "mmap private", "mmap shared", "mmap file",
		"mmap PROT_NONE", "munmap", "mprotect to NONE", "mprotect to READ", "mremap", "mremap"};
	uint64_t choice = random_below(10);

	call_log[call_count++] = names[choice];
	switch (choice) {
	case 0:
	case 1:
		do_mmap(PROT_READ | PROT_WRITE, 0);
		break;
	case 2:
		do_mmap(PROT_READ, 1);
		break;
	case 3:
		do_mmap(PROT_READ, 2);
		break;
	case 4:
		do_mmap(PROT_NONE, 0);
		break;
	case 5:
		lz_calls_munmap(&core.calls, (void *)random_place(), random_length());
		break;
	case 6:
		lz_calls_mprotect(&core.calls, (void *)random_place(), random_length(), PROT_NONE, -1, NULL);
		break;
	case 7:
		lz_calls_mprotect(&core.calls, (void *)random_place(), random_length(), PROT_READ, -1, NULL);
		break;
	default:
		do_mremap();
	}
}

static uint64_t vmpte(void)
{
	uint64_t bytes = 0;

	if (lz_proc_value(&lz_os_linux, "/proc/thread-self/status", "VmPTE:", &bytes) != 0)
		fail("reading VmPTE");
	return bytes;
}

/* Returns the bytes of page tables that the ledger predicts for the area. */
static uint64_t expected_table_bytes(void)
{
	struct lz_range *range = lz_ledger_find_at_or_above(&core.books.ledger, area);

	lz_ledger_remove(&area_ledger, 0, UINTPTR_MAX);
	for (; range != NULL && range->start < area + area_bytes; range = lz_ledger_next(range))
		lz_ledger_set(&area_ledger, range->start, range->end, range->traits);
	return lz_ledger_committed(&area_ledger);
}

/* Reads one byte of every page that is readable according to the kernel. Returns the number of pages. */
static size_t touch_everything(void)
{
	struct lz_line_reader lines;
	size_t pages = 0;
	char *line;

	if (lz_line_reader_open(&lines, &lz_os_linux, "/proc/thread-self/maps") != 0)
		fail("opening /proc/self/maps");
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.start < area ||
			mapping.start >= area + area_bytes || !mapping.readable)
			continue;
		for (uint64_t at = mapping.start; at < mapping.end; at += core.books.page, pages++)
			(void)*(volatile char *)at;
	}
	lz_line_reader_close(&lines);
	return pages;
}

static int check_layout(uint64_t seed, uint64_t *pages)
{
	uint64_t before, grown, expected;

	random_state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
	call_count = 0;
	for (uint64_t calls = 4 + random_below(MAX_CALLS - 8); calls > 0; calls--)
		random_call();
	expected = expected_table_bytes(); /* computed before the measurement, because it may touch a new page
					      for its records */
	before = vmpte();
	*pages += touch_everything();
	grown = vmpte() - before;
	lz_calls_munmap(&core.calls, (void *)area, area_bytes);
	if (ftruncate(file, 0) != 0 || ftruncate(file, (off_t)1 << 32) != 0)
		fail("ftruncate");
	if (grown == expected)
		return 0;
	printf("layout of LZ_SEED=%" PRIu64 " LZ_LAYOUTS=1: VmPTE grew by %" PRIu64
	       " bytes, the ledger predicts %" PRIu64 "\n",
		seed, grown, expected);
	for (int i = 0; i < call_count; i++)
		printf("  %s\n", call_log[i]);
	return 1;
}

static uint64_t number_from_environment(const char *name, uint64_t default_value)
{
	const char *value = getenv(name);

	return value != NULL ? strtoull(value, NULL, 10) : default_value;
}

/* Whether to make another layout. */
static bool should_continue(uint64_t i)
{
	static struct timespec start;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (i == 0)
		start = now;
	if (getenv("LZ_LAYOUTS") != NULL || i < MIN_LAYOUTS)
		return i < number_from_environment("LZ_LAYOUTS", LAYOUTS);
	return i < LAYOUTS && now.tv_sec - start.tv_sec < SECONDS;
}

int main(void)
{
	char *const quiet[] = {"LAZYZERO_LOG=none", "LAZYZERO_BUDGET=1E", NULL};
	uint64_t layouts = 0, seed = number_from_environment("LZ_SEED", 1), pages = 0;
	int failures = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	file = memfd_create("layout", 0);
	if (file < 0 || ftruncate(file, (off_t)1 << 32) != 0)
		fail("memfd_create");
	if (lz_core_init(&core, &lz_os_linux, quiet, "vmpte") != 0 || !lz_books_lock(&core.books))
		fail("starting the core");
	lz_books_unlock(&core.books);
	lz_ledger_init(&area_ledger, core.books.geometry, &lz_os_linux);
	find_area();
	printf("%s: layouts from seed %" PRIu64 "\n", core.books.geometry->name, seed);
	for (; failures < 5 && should_continue(layouts); layouts++)
		failures += check_layout(seed + layouts, &pages);
	printf("%" PRIu64 " layouts, %" PRIu64 " pages touched, %d layouts differ\n", layouts, pages,
		failures);
	return failures != 0;
}
