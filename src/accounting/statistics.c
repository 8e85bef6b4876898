/* The counters and the statistics file; see statistics.h. */
#include "accounting/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/mman.h"
#include "os/process.h"
#include "os/scratch.h"
#include "support/options.h"

uint64_t lz_stats_process_start_time(const struct lz_os *os, uint64_t pid)
{
	struct lz_process_id id;

	return lz_process_identify(os, pid, &id) == 0 ? id.start_time : 0;
}

static void init_wire(struct lz_stats *stats, struct lz_wire *wire, const char *executable)
{
	struct lz_text name;

	memset(wire, 0, sizeof *wire);
	memcpy(wire->magic, LZ_WIRE_MAGIC, sizeof LZ_WIRE_MAGIC);
	wire->version = LZ_WIRE_VERSION;
	wire->size = sizeof *wire;
	wire->pid = (uint64_t)stats->os->getpid();
	wire->state = LZ_WIRE_RUNNING;
	wire->budget = UINT64_MAX;
	name = lz_text_init(wire->executable, sizeof wire->executable);
	lz_text_string(&name, executable);
}

/* Whether LAZYZERO_STATS names a directory, in which each process has its own file. */
static bool is_directory(const struct lz_stats *stats)
{
	int fd = stats->os->open(stats->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);

	if (fd >= 0)
		stats->os->close(fd);
	return fd >= 0;
}

/* Opens the statistics file: `path`, or lazyzero.PID in it if it is a directory. */
static int open_file(const struct lz_stats *stats)
{
	const struct lz_os *os = stats->os;
	char *name = lz_scratch_take(os);
	struct lz_text text;
	int fd;

	_Static_assert(LZ_OPTION_TEXT_MAX + 40 <= LZ_SCRATCH_BYTES, "a path fits a scratch buffer");
	if (name == NULL)
		return -ENOMEM;
	text = lz_text_init(name, LZ_SCRATCH_BYTES);
	lz_text_string(&text, stats->path);
	if (is_directory(stats)) {
		lz_text_string(&text, "/lazyzero.");
		lz_text_i64(&text, os->getpid());
	}
	fd = os->open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	lz_scratch_release(os, name);
	return fd;
}

/*
 * Checks that the file may be written: it is empty, or a statistics file of this user. Then allocates all of
 * it: writing to a hole on a full disk would raise SIGBUS.
 */
static int check_and_allocate(const struct lz_os *os, int fd)
{
	static const char zeros[LZ_WIRE_FILE_BYTES];
	char magic[sizeof LZ_WIRE_MAGIC] = "";
	struct lz_file_id id;
	uint64_t saved;
	ssize_t written;
	int error = os->identify(fd, &id);

	if (error)
		return error;
	if (id.type != S_IFREG)
		return -EINVAL;
	if (id.owner != os->geteuid())
		return -EPERM;
	if (id.size != 0) {
		if (os->read(fd, magic, sizeof magic) != (ssize_t)sizeof magic ||
			memcmp(magic, LZ_WIRE_MAGIC, sizeof magic) != 0 || id.size < LZ_WIRE_FILE_BYTES)
			return -EEXIST;
		error = os->fallocate(fd, LZ_WIRE_FILE_BYTES);
		return error == -EOPNOTSUPP ? 0 : error;
	}
	error = os->block_write_signals(&saved);
	if (error)
		return error;
	written = os->write(fd, zeros, sizeof zeros);
	os->restore_write_signals(saved);
	return written < 0 ? (int)written : (size_t)written < sizeof zeros ? -ENOSPC : 0;
}

/* Whether the file was written by a library with the same layout. */
static bool has_same_layout(const struct lz_wire *mapped, const struct lz_wire *fresh)
{
	return memcmp(mapped->magic, fresh->magic, sizeof mapped->magic) == 0 &&
	       mapped->version == fresh->version && mapped->size == fresh->size;
}

/* Whether the file belongs to another process that is still running. */
static bool is_in_use(const struct lz_os *os, const struct lz_wire *mapped, const struct lz_wire *fresh)
{
	return has_same_layout(mapped, fresh) && mapped->pid != fresh->pid &&
	       mapped->state == LZ_WIRE_RUNNING && mapped->start_time != 0 &&
	       lz_stats_process_start_time(os, mapped->pid) == mapped->start_time;
}

/*
 * Whether an earlier image of this process, before exec, wrote the file. Its totals continue; its regions are
 * gone.
 */
static bool is_our_earlier_image(const struct lz_wire *mapped, const struct lz_wire *fresh)
{
	return has_same_layout(mapped, fresh) && mapped->pid == fresh->pid &&
	       mapped->start_time == fresh->start_time;
}

static int map_file(struct lz_stats *stats)
{
	const struct lz_os *os = stats->os;
	struct lz_wire *mapped;
	intptr_t at;
	int fd = open_file(stats);
	int error = fd < 0 ? fd : check_and_allocate(os, fd);

	if (error) {
		if (fd >= 0)
			os->close(fd);
		return error;
	}
	at = os->mmap(NULL, LZ_WIRE_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	os->close(fd);
	if (lz_os_failed(at))
		return (int)at;
	mapped = (struct lz_wire *)at;
	stats->own->start_time = lz_stats_process_start_time(os, stats->own->pid);
	if (is_in_use(os, mapped, stats->own)) {
		os->munmap(mapped, LZ_WIRE_FILE_BYTES);
		return 0;
	}
	if (is_our_earlier_image(mapped, stats->own)) {
		memcpy(mapped->executable, stats->own->executable, sizeof mapped->executable);
		mapped->regions = mapped->region_bytes = mapped->committed = mapped->actual = 0;
		mapped->window_regions = mapped->window_region_bytes = 0;
		mapped->state = LZ_WIRE_RUNNING;
	} else {
		*mapped = *stats->own;
	}
	stats->own->state = LZ_WIRE_IN_FILE;
	stats->wire = mapped;
	return 0;
}

/*
 * Maps the page of the counters. Its name shows it to the command. Where the kernel does not name memory
 * (CONFIG_ANON_VMA_NAME, Linux 5.17), the command looks for the magic at the start of each mapping of one
 * page, so the page must not become part of a mapping beside it: the kernel only merges mappings of the same
 * advice.
 */
static struct lz_wire *map_page(const struct lz_os *os)
{
	intptr_t page = os->mmap(
		NULL, LZ_WIRE_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (lz_os_failed(page))
		return NULL;
	if (os->any_syscall(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, LZ_WIRE_FILE_BYTES,
		    (long)LZ_WIRE_MEMORY_NAME, 0) != 0)
		os->madvise((void *)page, LZ_WIRE_FILE_BYTES, MADV_RANDOM);
	return (struct lz_wire *)page;
}

int lz_stats_open(
	struct lz_stats *stats, const struct lz_os *os, bool active, const char *path, const char *executable)
{
	stats->os = os;
	stats->path = path;
	stats->own = active ? map_page(os) : NULL;
	if (stats->own == NULL)
		stats->own = &stats->unpublished;
	stats->wire = stats->own;
	init_wire(stats, stats->own, executable);
	return active && *path != '\0' ? map_file(stats) : 0;
}

/* `inherited` is a copy of the parent's counters, which the parent goes on changing. */
static void init_child(struct lz_stats *stats, const struct lz_wire *inherited)
{
	stats->wire = stats->own;
	init_wire(stats, stats->own, inherited->executable);
	stats->own->budget = inherited->budget;
	memcpy(stats->own->budget_source, inherited->budget_source, sizeof inherited->budget_source);
	stats->own->regions = inherited->regions;
	stats->own->region_bytes = inherited->region_bytes;
	stats->own->window_regions = inherited->window_regions;
	stats->own->window_region_bytes = inherited->window_region_bytes;
	stats->own->committed = stats->own->committed_peak = inherited->committed;
}

void lz_stats_after_fork(struct lz_stats *stats)
{
	struct lz_wire *parent_wire = stats->wire;
	struct lz_wire *inherited = lz_scratch_take(stats->os);

	_Static_assert(sizeof *inherited <= LZ_SCRATCH_BYTES, "the counters fit a scratch buffer");
	if (inherited != NULL) {
		memcpy(inherited, parent_wire, sizeof *inherited);
		init_child(stats, inherited);
		lz_scratch_release(stats->os, inherited);
	} else {
		/* No memory for a copy: start from the parent's values, but not in the parent's file. */
		if (parent_wire != stats->own)
			memcpy(stats->own, parent_wire, sizeof *stats->own);
		stats->wire = stats->own;
	}
	if (parent_wire == stats->own)
		return;
	/* Map over the file instead of unmapping it: another thread may be about to write to a counter. */
	stats->os->mmap(parent_wire, LZ_WIRE_FILE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (is_directory(stats))
		map_file(stats);
}

void lz_stats_close(struct lz_stats *stats)
{
	lz_stats_set(stats, state, (uint64_t)LZ_WIRE_EXITED);
}
