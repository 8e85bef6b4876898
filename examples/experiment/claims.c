/*
 * The claims; see claims.h. A workload and its figures stand together, and both are given the same
 * size. The figures follow from the page size: an entry of 8 bytes for each page, in tables of one page.
 */
#include "claims.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lazyzero.h>

#include "../../tests/kernel.h"
#include "../common.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Found when the library is preloaded, NULL when it is not: this program is not linked with it. */
#pragma weak lz_version
#pragma weak lz_cost

#define WRITES 10000u

/* VmRSS is kept per CPU and summed up loosely (mm/percpu counters): this much is noise. */
#define NOISE (2 * MIB)

/* --- what the workloads are made of --- */

static char *map(uint64_t size)
{
	char *block =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (block == MAP_FAILED)
		return NULL;
	refuse_huge_pages(block, size);
	return block;
}

/* Zeroed memory: under the library by calloc; bare by mmap, for there calloc has the machine's limits. */
static char *reserve(uint64_t size)
{
	char *block = lz_version != NULL ? calloc(1, size) : map(size);

	if (block == NULL) {
		report_skipped("the kernel gives no address space of that size");
		exit(0);
	}
	return block;
}

/* Spread evenly, so that each lies in a 2 MiB block of its own while there are enough of them. */
static uint64_t nth_page(uint64_t size, uint64_t n)
{
	return n * (size / page_bytes() / WRITES) * page_bytes();
}

static void report_growth(const char *key, uint64_t after, uint64_t before)
{
	report(key, after > before ? after - before : 0);
}

/* --- what the figures are made of --- */

static struct range exactly(uint64_t value)
{
	return (struct range){.low = value, .high = value};
}

static struct range at_most(uint64_t value)
{
	return (struct range){.high = value};
}

static struct range at_least(uint64_t value)
{
	return (struct range){.low = value, .high = UINT64_MAX};
}

static struct range about(uint64_t value, uint64_t slack)
{
	return (struct range){.low = value > slack ? value - slack : 0, .high = value + slack};
}

static struct range any(void)
{
	return (struct range){.any = true};
}

/* A range that follows from reads that map the zero page. */
static struct range by_zero_page(struct range range)
{
	range.not_applicable = !kernel_has_zero_page();
	range.any |= range.not_applicable;
	return range;
}

/* The same in all columns. */
static struct figure both(const char *key, const char *label, enum unit unit, struct range range)
{
	return (struct figure){key, label, unit, {range, range, range}};
}

/* The tables of a range that is touched everywhere, as VmPTE counts them, but for odd ones at its ends. */
static uint64_t tables_of(uint64_t size)
{
	uint64_t entries = size / page_bytes() * 8;

	return entries + entries / page_bytes() * 8;
}

static struct range full_tables(uint64_t size)
{
	return about(tables_of(size), 16 * page_bytes() + tables_of(size) / 1000);
}

/*
 * VmRSS counts the window wherever it is mapped, though it takes no memory there. This program has no other
 * shared memory.
 */
static void report_resident(void)
{
	uint64_t resident = status_bytes(0, "VmRSS"), window = status_bytes(0, "RssShmem");

	report("resident", resident);
	report("window", lz_version != NULL ? window : 0);
	report("own", resident > window ? resident - window : 0);
}

/* --- E1 --- */

static void reserve_only(uint64_t size)
{
	uint64_t resident, virtual, start;

	(void)status_bytes(0, "VmRSS"); /* the first call itself takes memory */
	resident = status_bytes(0, "VmRSS");
	virtual = status_bytes(0, "VmSize");
	start = now_us();
	if (map(size) == NULL)
		report_skipped("the kernel gives no address space of that size");
	report("call_us", now_us() - start);
	report_growth("virtual", status_bytes(0, "VmSize"), virtual);
	report_growth("resident", status_bytes(0, "VmRSS"), resident);
}

static unsigned reserve_figures(uint64_t size, struct figure *figures)
{
	figures[0] = both("virtual", "VmSize grows by", BYTES, about(size, NOISE));
	figures[1] = both("resident", "VmRSS grows by", BYTES, at_most(NOISE));
	figures[2] = both("call_us", "time of mmap", MICROSECONDS, at_most(500000));
	return 3;
}

/* --- E2 --- */

static void read_then_write(uint64_t size)
{
	char *block = reserve(size);
	uint64_t before = status_bytes(0, "VmRSS"), after_reads;

	read_every_page(block, size);
	after_reads = status_bytes(0, "VmRSS");
	for (uint64_t i = 0; i < WRITES; i++)
		block[nth_page(size, i)] = 1;
	report_growth("reads", after_reads, before);
	report_growth("writes", status_bytes(0, "VmRSS"), after_reads);
}

static unsigned read_then_write_figures(uint64_t size, struct figure *figures)
{
	(void)size;
	figures[0] = both("reads", "VmRSS grows by reading every page", BYTES, by_zero_page(at_most(NOISE)));
	figures[1] = both("writes", "VmRSS grows by 10,000 writes", BYTES,
		by_zero_page(about(WRITES * page_bytes(), NOISE)));
	return 2;
}

/* --- E3 --- */

static void count_faults(uint64_t size)
{
	char *block = reserve(size);
	uint64_t before = minor_faults(), after_first;

	read_every_page(block, size);
	after_first = minor_faults();
	read_every_page(block, size);
	report("first", after_first - before);
	report("second", minor_faults() - after_first);
}

static unsigned count_faults_figures(uint64_t size, struct figure *figures)
{
	/* A few pages of the program itself may be touched for the first time meanwhile. */
	figures[0] = both("first", "minor faults, first reading", COUNT, about(size / page_bytes(), 8));
	figures[1] = both("second", "minor faults, second reading", COUNT, at_most(8));
	return 2;
}

/* --- E4 --- */

static const char *const populate_settings[] = {
	"LAZYZERO_POPULATE=read", "LAZYZERO_BACKING=zeropage", "LAZYZERO_THP=never", NULL};

static void populate(uint64_t size)
{
	uint64_t start = now_us(), before;
	char *probe = map(page_bytes());
	char *block;

	if (probe == NULL || madvise(probe, page_bytes(), MADV_POPULATE_READ) != 0) {
		report_skipped("MADV_POPULATE_READ needs Linux 5.14");
		return;
	}
	block = reserve(size);
	if (lz_version == NULL)
		madvise(block, size, MADV_POPULATE_READ);
	report("populate_us", now_us() - start);
	report("tables", status_bytes(0, "VmPTE"));
	before = minor_faults();
	read_every_page(block, size);
	report("faults", minor_faults() - before);
}

static unsigned populate_figures(uint64_t size, struct figure *figures)
{
	figures[0] = both("tables", "page tables before any reading", BYTES, full_tables(size));
	figures[1] = both("faults", "minor faults on reading", COUNT, at_most(8));
	figures[2] = both("populate_us", "time to fill the entries", MICROSECONDS, any());
	return 3;
}

/* --- E5 --- */

static void read_all(uint64_t size)
{
	char *block = reserve(size);
	uint64_t start = now_us();

	read_every_page(block, size);
	report("read_us", now_us() - start);
	report_resident();
	report("tables", status_bytes(0, "VmPTE"));
}

static unsigned read_all_figures(uint64_t size, struct figure *figures)
{
	figures[0] = both("resident", "VmRSS", BYTES, any());
	figures[1] = both("window", "of it the zero window", BYTES, at_most(0));
	figures[1].range[BARE] = any();
	figures[1].range[WINDOW] = about(size, size / 100);
	/* The C library and what else is loaded count too. */
	figures[2] = both("own", "and the program's own", BYTES, by_zero_page(at_most(4 * MIB)));
	figures[2].range[WINDOW] = at_most(4 * MIB);
	figures[3] = both("tables", "page tables", BYTES, full_tables(size));
	/* An entry for each 2 MiB, and what the process has anyway. */
	figures[3].range[WINDOW] = at_most(tables_of(size / 512) + 128 * KIB);
	figures[4] = both("read_us", "time to read", MICROSECONDS, any());
	return 5;
}

/* --- E6 --- */

static void sparse_array(uint64_t size)
{
	uint64_t *array = calloc(1, size);
	uint64_t before, step, right = 0;

	report("calloc", array != NULL ? 0 : (uint64_t)errno);
	if (array == NULL)
		array = (uint64_t *)(void *)reserve(size);
	refuse_huge_pages(array, size);
	before = status_bytes(0, "VmRSS");
	step = nth_page(size, 1) / sizeof *array;
	for (uint64_t i = 0; i < WRITES; i++) {
		array[i * step] = i + 1;
		if (i + 1 == WRITES / 10)
			report_growth("few", status_bytes(0, "VmRSS"), before);
	}
	report_growth("many", status_bytes(0, "VmRSS"), before);
	for (uint64_t i = 0; i < WRITES; i++)
		right += array[i * step] == i + 1 && array[i * step + 1] == 0;
	report("right", right);
	report("tables", status_bytes(0, "VmPTE"));
}

static unsigned sparse_array_figures(uint64_t size, struct figure *figures)
{
	uint64_t each = page_bytes();
	/* A write in a 2 MiB block of its own takes a table of its own. */
	uint64_t blocks = size / (each / 8 * each);
	uint64_t tables = (blocks < WRITES ? blocks : WRITES) * each + blocks * 8;

	figures[0] = both("calloc", "calloc of the array", RESULT, any());
	figures[0].range[LAZYZERO] = exactly(0);
	figures[1] = both("few", "VmRSS grows by 1,000 writes", BYTES, about(WRITES / 10 * each, NOISE));
	figures[2] = both("many", "VmRSS grows by 10,000 writes", BYTES, about(WRITES * each, NOISE));
	figures[3] = both("tables", "page tables", BYTES, about(tables, tables / 20 + 16 * each));
	figures[4] = both("right", "elements that read as written", COUNT, exactly(WRITES));
	return 5;
}

/* --- E7 --- */

static void touch_one_page(uint64_t size)
{
	/* 32 TiB: the kernel places programs, heaps, libraries and stacks elsewhere. */
	void *far = (void *)((uintptr_t)1 << 45);
	uint64_t before, cost = 0;
	char *page;

	(void)size;
	(void)status_bytes(0, "VmPTE");
	if (lz_version != NULL)
		cost = lz_cost(far, page_bytes());
	page = mmap(far, page_bytes(), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page != far || page_bytes() != 4096) {
		report_skipped("its figures are those of 4 KiB pages and at least 4 levels of tables");
		return;
	}
	before = status_bytes(0, "VmPTE");
	read_every_page(page, page_bytes());
	report_growth("tables", status_bytes(0, "VmPTE"), before);
	if (lz_version != NULL)
		report("cost", cost);
}

static unsigned touch_one_page_figures(uint64_t size, struct figure *figures)
{
	(void)size;
	figures[0] = both("tables", "VmPTE, which has no top level", BYTES, exactly(12 * KIB));
	figures[1] = both("cost", "what lz_cost said before", BYTES, exactly(12 * KIB));
	figures[1].range[BARE] = any();
	return 2;
}

/* --- E8 --- */

/* 512 GiB in 1 GiB: just less than their page tables take. On a window a 32nd of that is enough. */
#define LIMIT_SHARE 512u

static const char *const refuse_settings[] = {"LAZYZERO_POLICY=refuse", "LAZYZERO_BACKING=zeropage", NULL};

/* A compiler may leave out an allocation whose address nobody wants, and take it for a success. */
static void *volatile wanted;

/* A program that knows how to take ENOMEM; bare, it is never told. */
static void outgrow_machine(uint64_t size)
{
	uint64_t small = 0;
	char *block;

	if (page_bytes() != 4096) {
		report_skipped("its figures are those of 4 KiB pages");
		return;
	}
	block = map(size);
	report("mmap", block != NULL ? 0 : (uint64_t)errno);
	if (block != NULL) {
		read_every_page(block, size);
		report("read", size);
		report_resident();
		report("peak_tables", status_bytes(0, "VmPTE"));
		return;
	}
	wanted = calloc(1, size);
	report("calloc", wanted != NULL ? 0 : (uint64_t)errno);
	while (small < WRITES && (wanted = malloc(100)) != NULL)
		small++;
	report("small", small);
	/* This end comes too quickly for the parent's sampling. */
	report("peak_tables", status_bytes(0, "VmPTE"));
	report_resident();
}

static unsigned outgrow_machine_figures(uint64_t size, struct figure *figures)
{
	uint64_t limit = size / LIMIT_SHARE;
	const struct range none = any();

	figures[0] = (struct figure){"mmap", "mmap", RESULT, {exactly(0), exactly(ENOMEM), exactly(0)}};
	figures[1] = (struct figure){"calloc", "calloc instead", RESULT, {none, exactly(ENOMEM), none}};
	figures[2] = (struct figure){
		"small", "small allocations after that", COUNT, {none, exactly(WRITES), none}};
	figures[3] = (struct figure){"read", "read to the end", BYTES, {none, none, exactly(size)}};
	figures[4] = (struct figure){
		"end", "the program's end", WAIT_STATUS, {exactly(SIGKILL), exactly(0), exactly(0)}};
	figures[5] = (struct figure){
		"oom_kills", "out-of-memory kills", COUNT, {exactly(1), exactly(0), exactly(0)}};
	/*
	 * What else the process takes comes out of the same limit: stacks and the kernel's own, 1 to 3 MiB.
	 */
	figures[6] = (struct figure){"peak_tables", "page tables, last sample", BYTES,
		{by_zero_page(at_least(limit / 4 * 3)), at_most(MIB), at_most(limit / 256 + 128 * KIB)}};
	figures[7] =
		(struct figure){"log_tables", "page tables, the kernel's log", BYTES, {none, none, none}};
	figures[8] = (struct figure){
		"last_rss", "VmRSS, last sample", BYTES, {by_zero_page(at_most(8 * MIB)), none, none}};
	figures[9] = (struct figure){"window", "of it the zero window", BYTES, {none, at_most(0), none}};
	figures[10] = (struct figure){
		"own", "and the program's own", BYTES, {none, at_most(8 * MIB), at_most(8 * MIB)}};
	return 11;
}

/* --- E9 --- */

#define SHARERS 12

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

struct shared_tally {
	_Atomic unsigned read;
	_Atomic uint64_t tables, wrong;
};

static _Noreturn void read_shared(struct shared_tally *tally, const char *block, uint64_t size)
{
	uint64_t wrong = 0;

	for (uint64_t at = 0; at < size; at += page_bytes())
		wrong += block[at] != (char)(at / page_bytes() + 1);
	tally->wrong += wrong;
	tally->tables += status_bytes(0, "VmPTE");
	tally->read++;
	while (tally->read < SHARERS)
		usleep(20000);
	_exit(0);
}

/* Memory that one process fills and all its children read: each of them needs page tables of its own. */
static void share(uint64_t size)
{
	char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct shared_tally *tally =
		mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t start = now_us();

	if (page_bytes() != 4096 || madvise(NULL, 0, MADV_COLLAPSE) != 0) {
		report_skipped("its figures need pages of 4 KiB and MADV_COLLAPSE (Linux 6.1)");
		return;
	}
	if (block == MAP_FAILED || tally == MAP_FAILED) {
		report_skipped("no memory");
		return;
	}
	for (uint64_t at = 0; at < size; at += page_bytes())
		block[at] = (char)(at / page_bytes() + 1);
	for (int i = 0; i < SHARERS; i++)
		if (fork() == 0)
			read_shared(tally, block, size);
	while (wait(NULL) > 0)
		;
	report("read", tally->read);
	report("wrong", tally->wrong);
	report("tables", tally->tables);
	report("us_all", now_us() - start);
}

static const char *const shared_settings[] = {"LAZYZERO_SHARED=huge", NULL};

static unsigned share_figures(uint64_t size, struct figure *figures)
{
	figures[0] = both("read", "children that read it", COUNT, exactly(SHARERS));
	figures[1] = both("wrong", "pages they found changed", COUNT, exactly(0));
	/* Beside the memory, a process of this program needs less than 128 KiB of page tables. */
	figures[2] = (struct figure){"tables", "page tables of all children", BYTES,
		{at_least(SHARERS * tables_of(size)), at_most(SHARERS * 128 * KIB), any()}};
	figures[3] = both("us_all", "time to fill it and to read it", MICROSECONDS, any());
	return 4;
}

/* --- E10 --- */

#define HERD 24

/* What became of the children so far, shared with them. */
struct tally {
	_Atomic unsigned done, refused, killed;
};

static _Noreturn void read_in_herd(struct tally *tally, uint64_t size)
{
	char *block = lz_version != NULL ? calloc(1, size) : map(size);

	if (block == NULL) {
		tally->refused++;
		_exit(0);
	}
	read_every_page(block, size);
	tally->done++;
	while (tally->done + tally->refused + tally->killed < HERD)
		usleep(20000);
	_exit(0);
}

/* Each child is within a budget of its own; all of them together need more page tables than there is memory.
 */
static void read_together(uint64_t size)
{
	struct tally *tally =
		mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (page_bytes() != 4096 || !kernel_has_zero_page()) {
		report_skipped("its figures are those of a zero page of 4 KiB");
		return;
	}
	if (tally == MAP_FAILED) {
		report_skipped("no memory");
		return;
	}
	for (int i = 0; i < HERD; i++)
		if (fork() == 0)
			read_in_herd(tally, size);
	while (wait(&status) > 0)
		tally->killed += WIFSIGNALED(status);
	report("done", tally->done);
	report("refused", tally->refused);
	report("killed", tally->killed);
}

static const char *const group_refuse_settings[] = {"LAZYZERO_BUDGET_SCOPE=group:experiments",
	"LAZYZERO_POLICY=refuse", "LAZYZERO_BACKING=zeropage", NULL};
static const char *const group_settings[] = {"LAZYZERO_BUDGET_SCOPE=group:experiments", NULL};

static unsigned read_together_figures(uint64_t size, struct figure *figures)
{
	(void)size;
	figures[0] = (struct figure){
		"done", "children that read to the end", COUNT, {any(), at_least(1), exactly(HERD)}};
	figures[1] = (struct figure){
		"refused", "children that were given ENOMEM", COUNT, {exactly(0), at_least(1), exactly(0)}};
	figures[2] = (struct figure){
		"killed", "children that were killed", COUNT, {at_least(1), exactly(0), exactly(0)}};
	figures[3] = (struct figure){
		"oom_kills", "out-of-memory kills", COUNT, {at_least(1), exactly(0), exactly(0)}};
	return 4;
}

/* --- all --- */

static const char *const window_settings[] = {"LAZYZERO_BACKING=window", NULL};

/* What a user would set: refuse what does not fit, and let the window make it fit. 2 MiB of page tables
 * in 32. */
static const char *const answer_settings[] = {
	"LAZYZERO_POLICY=refuse", "LAZYZERO_BACKING=auto", "LAZYZERO_BUDGET=10%", NULL};

static const char *const zeropage_settings[] = {"LAZYZERO_BACKING=zeropage", "LAZYZERO_THP=never", NULL};

const struct claim claims[] = {
	{"E1", "mmap returns at once; nothing is resident until touched", 100 * GIB, 0, 0, 0, NULL, NULL,
		reserve_only, reserve_figures, false},
	{"E2", "a read maps the zero page, a write allocates", 16 * GIB, 0, 0, 0, zeropage_settings, NULL,
		read_then_write, read_then_write_figures, true},
	{"E3", "each first read is a minor fault", 16 * GIB, 0, 0, 0, zeropage_settings, NULL, count_faults,
		count_faults_figures, true},
	{"E4", "entries filled up front: tables at once, no faults later", 16 * GIB, 0, 0, 0,
		populate_settings, NULL, populate, populate_figures, true},
	{"E5", "read page by page: almost nothing resident, but page tables", 100 * GIB, 0, 0, 0,
		zeropage_settings, window_settings, read_all, read_all_figures, true},
	{"E6", "a huge array, mostly zero: memory follows the writes", TIB, 0, 0, 0, zeropage_settings, NULL,
		sparse_array, sparse_array_figures, false},
	{"E7", "one page needs a table on each of 4 levels: 4 x 4 KiB", 0, 0, 0, 0, NULL, NULL,
		touch_one_page, touch_one_page_figures, false},
	{"E8", "reading 512 times the memory: killed by page tables", 512 * GIB, LIMIT_SHARE,
		32 * LIMIT_SHARE, 16 * MIB, refuse_settings, answer_settings, outgrow_machine,
		outgrow_machine_figures, false},
	{"E9", "12 processes over one shared memory: page tables 12 times", GIB, 0, 0, 0, shared_settings,
		NULL, share, share_figures, false},
	/* 24 windows of 2 MiB must fit in the least limit. */
	{"E10", "24 processes, each within the budget: killed together", 12 * GIB, HERD, HERD, 128 * MIB,
		group_refuse_settings, group_settings, read_together, read_together_figures, false},
};
const unsigned claim_count = sizeof claims / sizeof *claims;
