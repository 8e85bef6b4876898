/*
 * Freed blocks that are cached: mappings that the program makes over them are not disturbed, attributes do
 * not reach the next owner, children do not inherit them, and the kernel can reclaim them.
 *
 *   cached_regions                all checks except those below
 *   cached_regions idle           small requests only: cached memory is released within two seconds
 *   cached_regions sibling [N]    frees 24 MiB, reused N times, and sleeps; another process then needs 240
 * MiB cached_regions prefork N MIB [write]   fills and frees MIB and forks a worker, N times; with `write`
 *                                 workers fill and free as much
 */
#include "probe.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define BLOCK (8 * MB)
#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static char *fill(size_t length, int byte)
{
	char *p = opaque_pointer(calloc(1, length));

	if (p != NULL)
		memset(p, byte, length);
	return p;
}

static bool is_filled(const char *p, size_t length, int byte)
{
	return p[0] == byte && memcmp(p, p + 1, length - 1) == 0;
}

/* Without lazyzero, a block does not start at a page boundary. */
static char *first_page(const char *p)
{
	return (char *)(((uintptr_t)p + PAGE - 1) & ~(PAGE - 1));
}

static bool ended_well(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- mappings made over a freed block --- */

enum way { FIXED, NOREPLACE, HINT, SEGMENT, MOVED, RAW_FIXED, RAW_FILE, WAYS };
static const char *const way_names[] = {"MAP_FIXED", "MAP_FIXED_NOREPLACE", "a hint", "SHM_REMAP",
	"MREMAP_FIXED", "a raw MAP_FIXED", "a raw MAP_FIXED of a file"};

/* Maps a file without zero bytes. */
static char *map_file_over(char *at, size_t length)
{
	int file = memfd_create("kept", MFD_CLOEXEC);
	void *result;

	if (file < 0 || ftruncate(file, (off_t)length) != 0)
		return MAP_FAILED;
	for (size_t from = 0; from < length; from += 64 * KB)
		if (pwrite(file, "file", 4, (off_t)from) != 4)
			return MAP_FAILED;
	result = (void *)syscall(SYS_mmap, at, length, RW, MAP_PRIVATE | MAP_FIXED, file, 0);
	close(file);
	return result;
}

static char *map_over(enum way way, char *at, size_t length, char *elsewhere)
{
	int id;

	switch (way) {
	case FIXED:
		return mmap(at, length, RW, ANONYMOUS | MAP_FIXED, -1, 0);
	case NOREPLACE:
		return mmap(at, length, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	case HINT:
		return mmap(at, length, RW, ANONYMOUS, -1, 0);
	case SEGMENT:
		id = shmget(IPC_PRIVATE, length, 0600 | IPC_CREAT);
		elsewhere = shmat(id, at, SHM_REMAP);
		shmctl(id, IPC_RMID, NULL);
		return elsewhere;
	case MOVED:
		return mremap(elsewhere, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	case RAW_FILE:
		return map_file_over(at, length);
	default:
		return (char *)syscall(SYS_mmap, at, length, RW, ANONYMOUS | MAP_FIXED, -1, 0);
	}
}

/* Ranges within and beyond the block: start and length. */
static const struct {
	const char *name;
	long from;
	size_t length;
} parts[] = {{"all", 0, BLOCK - 2 * PAGE}, {"the middle", 2 << 20, 4 * MB}, {"the head", 0, 4 * MB},
	{"the tail", 4 << 20, 4 * MB - 2 * PAGE}, {"a page", 65536, PAGE}, {"its first page", 0, PAGE},
	{"the page before and the head", -4096, 2 * MB}};

/*
 * Whether the kernel can describe a single mapping (PROCMAP_QUERY, Linux 6.11): otherwise a raw call without
 * other signs is not noticed.
 */
static bool raw_calls_are_seen;

static void check_map_over(enum way way, size_t part)
{
	char *p = fill(BLOCK, 7), *at = first_page(p) + parts[part].from, *mapped, *again[4];
	size_t length = parts[part].length;
	char *elsewhere = way == MOVED ? mmap(NULL, length, RW, ANONYMOUS, -1, 0) : NULL;
	pid_t child;

	free(p);
	mapped = map_over(way, at, length, elsewhere);
	if (!CHECK(mapped != MAP_FAILED, "%s over %s: %s", way_names[way], parts[part].name, strerror(errno)))
		return;
	CHECK(mapped == at, "%s over %s lands elsewhere", way_names[way], parts[part].name);
	memset(mapped, 42, length);
	child = fork();
	if (child == 0)
		_exit(!is_filled(mapped, length, 42));
	CHECK(ended_well(child), "a child did not inherit the mapping that %s made over %s", way_names[way],
		parts[part].name);
	for (size_t i = 0; i < 4; i++) {
		again[i] = fill(BLOCK, 9);
		CHECK(again[i] >= mapped + length || mapped >= again[i] + BLOCK,
			"calloc overlaps what %s put over %s", way_names[way], parts[part].name);
	}
	for (size_t i = 0; i < 4; i++)
		free(again[i]);
	CHECK(is_filled(mapped, length, 42), "%s over %s: its bytes change", way_names[way],
		parts[part].name);
	if (way == SEGMENT)
		shmdt(mapped);
	else
		munmap(mapped, length);
}

/* A missed call turns the cache off for a while, so each case runs in a process of its own. */
static void check_raw_map_over(enum way way, size_t part)
{
	pid_t child = fork();

	if (child == 0) {
		/* Regions inherited from the parent are not cached yet. */
		free(fill(BLOCK, 1));
		check_map_over(way, part);
		_exit(probe_status_of_checks());
	}
	CHECK(ended_well(child), "%s over %s", way_names[way], parts[part].name);
}

/* A mapping exactly over the block; only lazyzero's blocks start at a page boundary. */
static void check_exact_overlay(enum way way)
{
	char *block = fill(BLOCK, 7), *p = first_page(block), *again;
	bool exactly = p == block;

	free(block);
	if (!exactly || !CHECK(map_over(way, p, BLOCK, NULL) == p, "%s exactly over a freed block: %s",
				way_names[way], strerror(errno)))
		return;
	memset(p, 42, BLOCK);
	again = fill(BLOCK, 9);
	CHECK(again >= p + BLOCK || p >= again + BLOCK, "calloc overlaps %s exactly over a block",
		way_names[way]);
	free(again);
	CHECK(is_filled(p, BLOCK, 42), "%s exactly over a block: its bytes change", way_names[way]);
	munmap(p, BLOCK);
}

static void check_exact_overlays(void)
{
	for (enum way way = 0; way < WAYS; way++) {
		pid_t child;

		if (way == MOVED || way == SEGMENT || (way >= RAW_FIXED && !raw_calls_are_seen))
			continue;
		child = fork();
		if (child == 0) {
			check_exact_overlay(way);
			_exit(probe_status_of_checks());
		}
		CHECK(ended_well(child), "%s exactly over a block", way_names[way]);
	}
}

/* Live blocks of which a part was made unwritable, by calls that lazyzero sees and by raw ones. */
static void check_overlaid_blocks(void)
{
	for (enum way way = 0; way < WAYS; way++)
		for (int raw = 0; way != NOREPLACE && way != HINT && raw < 2; raw++) {
			char *p = fill(40 * MB, 7), *at = first_page(p) + 2 * MB;
			char *elsewhere = way == MOVED ? mmap(NULL, 64 * KB, RW, ANONYMOUS, -1, 0) : NULL;

			if (CHECK(map_over(way, at, 64 * KB, elsewhere) == at, "%s in a block: %s",
				    way_names[way], strerror(errno))) {
				memset(at, 1, 64 * KB);
				if (raw)
					syscall(SYS_mprotect, at, 64 * KB, PROT_READ);
				else
					mprotect(at, 64 * KB, PROT_READ);
			}
			free(p);
		}
}

static char *kept_over[WAYS];

/* The same when the region would be unmapped as idle. */
static void map_over_and_wait(void)
{
	for (enum way way = 0; way < WAYS; way++) {
		char *block = fill(BLOCK, 7), *p = first_page(block);
		char *elsewhere = way == MOVED ? mmap(NULL, BLOCK - 2 * PAGE, RW, ANONYMOUS, -1, 0) : NULL;

		free(block);
		if (way >= RAW_FIXED && !raw_calls_are_seen)
			continue;
		kept_over[way] = map_over(way, p, BLOCK - 2 * PAGE, elsewhere);
		if (CHECK(kept_over[way] == p, "%s over a freed block: %s", way_names[way], strerror(errno)))
			memset(kept_over[way], 42, BLOCK - 2 * PAGE);
	}
	poll(NULL, 0, 1300);
	munmap(mmap(NULL, MB, RW, ANONYMOUS, -1, 0), MB);
	free(fill(BLOCK, 1));
	for (enum way way = 0; way < WAYS; way++)
		if (kept_over[way] != NULL)
			CHECK(is_filled(kept_over[way], BLOCK - 2 * PAGE, 42),
				"%s: unmapped or changed later", way_names[way]);
	for (enum way way = 0; way < WAYS; way++)
		if (kept_over[way] != NULL && (way != SEGMENT || shmdt(kept_over[way]) != 0))
			munmap(kept_over[way], BLOCK - 2 * PAGE);
}

/* --- attributes do not reach the next owner --- */

/* Finds the VmFlags of the mapping at p, and its line in smaps from the permissions on. */
static bool find_flags(const char *p, char flags[256])
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512], mapping[100] = "";
	bool found = false;

	while (smaps != NULL && !found && fgets(line, sizeof line, smaps) != NULL) {
		unsigned long start, end;
		char rest[100];

		if (sscanf(line, "%lx-%lx %99[^\n]", &start, &end, rest) == 3)
			strcpy(mapping, (uintptr_t)p >= start && (uintptr_t)p < end ? rest : "");
		else if (mapping[0] != '\0' && sscanf(line, "VmFlags: %99[^\n]", rest) == 1)
			found = snprintf(flags, 256, "%s, %s", rest, mapping) > 0;
	}
	if (smaps != NULL)
		fclose(smaps);
	return found;
}

static int set_name(char *p, size_t length)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, length, "owner");
}

static int set_read_only(char *p, size_t length)
{
	return mprotect(p, length, PROT_READ);
}

static int lock(char *p, size_t length)
{
	return mlock(p, length);
}

#define ADVISE(name, advice)                                                                                 \
	static int name(char *p, size_t length)                                                              \
	{                                                                                                    \
		return madvise(p, length, advice);                                                           \
	}
ADVISE(advise_huge_pages, MADV_HUGEPAGE)
ADVISE(advise_no_huge_pages, MADV_NOHUGEPAGE)
ADVISE(advise_random, MADV_RANDOM)
ADVISE(advise_sequential, MADV_SEQUENTIAL)
ADVISE(advise_no_dump, MADV_DONTDUMP)
ADVISE(advise_no_fork, MADV_DONTFORK)
ADVISE(advise_wipe_on_fork, MADV_WIPEONFORK)
ADVISE(advise_mergeable, MADV_MERGEABLE)

static const struct {
	const char *name;
	int (*set)(char *p, size_t length);
} properties[] = {{"MADV_HUGEPAGE", advise_huge_pages}, {"MADV_NOHUGEPAGE", advise_no_huge_pages},
	{"MADV_RANDOM", advise_random}, {"MADV_SEQUENTIAL", advise_sequential},
	{"MADV_DONTDUMP", advise_no_dump}, {"MADV_DONTFORK", advise_no_fork},
	{"MADV_WIPEONFORK", advise_wipe_on_fork}, {"MADV_MERGEABLE", advise_mergeable},
	{"mprotect", set_read_only}, {"mlock", lock}, {"a name", set_name}};

static void check_properties(void)
{
	for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
		for (int whole = 0; whole < 2; whole++) {
			char before[256], after[256], *p = fill(BLOCK, 7), *q;
			char *start = first_page(p);
			size_t most = start == p ? BLOCK : BLOCK - PAGE;

			if (!find_flags(p + BLOCK / 2, before)) {
				fputs("not tested: properties of mappings (no smaps)\n", stderr);
				return;
			}
			if (properties[i].set(whole ? start : start + MB, whole ? most : MB) != 0) {
				free(p);
				continue;
			}
			free(p);
			for (int owner = 0; owner < 3; owner++) {
				q = fill(BLOCK, 9);
				CHECK(find_flags(q + BLOCK / 2, after) && strcmp(before, after) == 0,
					"%s of a block reaches the next: %s for %s", properties[i].name,
					after, before);
				CHECK(find_flags(q + MB + PAGE, after) && strcmp(before, after) == 0,
					"%s of a part reaches the next: %s for %s", properties[i].name, after,
					before);
				free(q);
			}
		}
}

/* --- children --- */

/* Live blocks are inherited, freed ones are not, and a child can use blocks as its parent does. */
static int use_blocks_in_child(const char *alive, size_t freed)
{
	size_t before = probe_status("RssAnon:");
	char *p;

	if (probe_preloaded() && before > freed / 2)
		return 2;
	if (!is_filled(alive, BLOCK, 5))
		return 3;
	for (int round = 0; round < 5; round++) {
		p = opaque_pointer(calloc(1, BLOCK));
		if (p == NULL || !is_filled(p, BLOCK, 0))
			return 4;
		memset(p, 3, BLOCK);
		free(p);
	}
	return 0;
}

static void check_children(void)
{
	char *alive = fill(BLOCK, 5);

	for (int round = 0; round < 5; round++) {
		pid_t child;

		free(fill(60 * MB, 1));
		child = fork();
		if (child == 0) {
			int status = use_blocks_in_child(alive, 60 * MB);
			pid_t grandchild = status == 0 ? fork() : -1;

			if (grandchild == 0)
				_exit(use_blocks_in_child(alive, 60 * MB));
			_exit(status != 0 ? status : ended_well(grandchild) ? 0 : 5);
		}
		CHECK(ended_well(child), "a child of a process that keeps freed blocks");
		/* Reused blocks are inherited again. */
		char *p = fill(60 * MB, 6);
		child = fork();
		if (child == 0)
			_exit(!is_filled(p, 60 * MB, 6));
		CHECK(ended_well(child), "a child lacks a block that was reused");
		free(p);
	}
	free(alive);
}

/* --- the kernel can reclaim cached memory --- */

static size_t lazily_freed(void)
{
	FILE *smaps = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kb = 0;
	char line[256];

	while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL)
		if (sscanf(line, "LazyFree: %lu", &kb) == 1)
			break;
	if (smaps != NULL)
		fclose(smaps);
	return kb * KB;
}

/* A mapping grows in place into the addresses of a block that was freed. */
static void check_growth_into_freed(void)
{
	const size_t below = 2 * MB;
	char *block = fill(48 * MB, 1);
	/* Below the mapping that the block is in: it starts at the page of the byte before the block. */
	char *place = (char *)(((uintptr_t)block - 1) & ~(uintptr_t)4095) - below;
	char *p = mmap(place, below, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	free(block);
	if (p == MAP_FAILED)
		return;
	CHECK(mremap(p, below, below + 24 * MB, 0) == p, "mremap cannot grow over a block that was freed: %s",
		strerror(errno));
	munmap(p, below + 24 * MB);
}

static void check_reclaimable(void)
{
	size_t before = probe_status("RssAnon:"), now, taken, out_of_reach;

	for (int reused = 0; reused < 10; reused++) {
		free(fill(60 * MB, 1));
		for (int i = 0; i < reused; i++)
			free(fill(60 * MB, 2));
		now = probe_status("RssAnon:");
		taken = before + lazily_freed();
		out_of_reach = now > taken ? now - taken : 0;
		CHECK(out_of_reach <= 9 * MB, "%zu bytes that were freed are out of the kernel's reach",
			out_of_reach);
	}
}

/* --- modes --- */

static int idle(void)
{
	size_t before = probe_status("VmRSS:");
	int tenths;

	free(fill(60 * MB, 1));
	for (tenths = 0; tenths < 50 && probe_status("VmRSS:") > before + 8 * MB; tenths++) {
		for (int i = 0; i < 1000; i++) {
			char *p = opaque_pointer(malloc((size_t)(16 + i % 2000)));

			memset(p, 1, 16);
			free(p);
		}
		poll(NULL, 0, 100);
	}
	CHECK(tenths <= 22, "freed memory is still there after %d.%d s", tenths / 10, tenths % 10);
	return probe_status_of_checks();
}

static int sibling(int reused)
{
	pid_t child;
	int status;

	for (int i = 0; i <= reused; i++)
		free(fill(24 * MB, 1));
	child = fork();
	if (child == 0) {
		execl("/proc/self/exe", "kept", "use_memory", (char *)NULL);
		_exit(2);
	}
	waitpid(child, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other process ended with status %#x",
		(unsigned)status);
	return probe_status_of_checks();
}

static int use_memory(void)
{
	char *p = mmap(NULL, 240 * MB, RW, ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	memset(p, 1, 240 * MB);
	return 0;
}

static int prefork(int workers, size_t length, bool write)
{
	int dead = 0, status;
	pid_t worker[64];

	for (int i = 0; i < workers; i++) {
		free(fill(length, 1 + i));
		worker[i] = fork();
		if (worker[i] == 0) {
			if (write)
				free(fill(length, 1));
			pause();
			_exit(0);
		}
		poll(NULL, 0, 100);
	}
	for (int i = 0; i < workers; i++) {
		kill(worker[i], SIGTERM);
		waitpid(worker[i], &status, 0);
		dead += !WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM;
	}
	CHECK_EQUAL(dead, 0);
	return probe_status_of_checks();
}

int probe_main(void)
{
	const char *mode = probe_argc > 1 ? probe_argv[1] : "";

	/*
	 * Without lazyzero, each block must be a mapping of its own: otherwise the C library would keep 24
	 * MiB on its heap after the first block.
	 */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	if (strcmp(mode, "idle") == 0)
		return idle();
	if (strcmp(mode, "use_memory") == 0)
		return use_memory();
	if (strcmp(mode, "sibling") == 0)
		return sibling(probe_argc > 2 ? atoi(probe_argv[2]) : 0);
	if (strcmp(mode, "prefork") == 0)
		return prefork(atoi(probe_argv[2]), (size_t)atol(probe_argv[3]) * MB, probe_argc > 4);
	raw_calls_are_seen = getenv("PROBE_NO_QUERY") == NULL;
	for (enum way way = 0; way < WAYS; way++)
		for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
			if (way < RAW_FIXED)
				check_map_over(way, part);
			else if (raw_calls_are_seen && (way == RAW_FIXED || parts[part].from == 0))
				check_raw_map_over(way, part);
	check_exact_overlays();
	check_overlaid_blocks();
	check_growth_into_freed();
	map_over_and_wait();
	check_properties();
	check_children();
	check_reclaimable();
	return probe_status_of_checks();
}
