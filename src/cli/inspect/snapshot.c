/* Takes snapshots; see snapshot.h. */
#include "cli/inspect/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/common/array.h"
#include "cli/common/clock.h"
#include "cli/process/process.h"
#include "cli/process/table_counter.h"
#include "os/procfs.h"
#include "os/vma.h"

#define ATTEMPTS 3

struct look {
	const struct lz_geometry *geometry;
	pid_t pid;
	struct lz_pages *pages;
	struct lz_table_counter counter;
	struct lz_inspected_mapping *mapping; /* that is looked at */
	unsigned huge_shift;                  /* log2 of the page size of its huge pages without a table */
};

uint64_t lz_page_sums_untouched(const struct lz_page_sums *sums)
{
	return lz_sub_clamped(sums->size, sums->written + sums->zero + sums->file + sums->swapped);
}

void lz_page_sums_add(struct lz_page_sums *sum, const struct lz_page_sums *sums)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)sums;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

/*
 * Before Linux 6.11, which lacks the query, huge pages of hugetlbfs are taken for those of the lowest size.
 */
static unsigned huge_shift_of(const struct look *look, uint64_t address)
{
	unsigned shift = lz_table_span_shift(look->geometry, 0);
	char path[PATH_MAX];
	uint64_t page = 0;
	int fd;

	lz_proc_path(path, "", look->pid, "maps");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && lz_vma_page_size_of(&lz_os_linux, fd, address, &page) == 0 &&
		lz_is_power_of_two(page) && page > UINT64_C(1) << look->geometry->page_shift)
		shift = (unsigned)__builtin_ctzll(page);
	if (fd >= 0)
		close(fd);
	return shift;
}

static bool is_window(const struct lz_inspected_mapping *mapping)
{
	return mapping->rights[3] == 'p' &&
	       strncmp(mapping->path, LZ_WINDOW_PREFIX, strlen(LZ_WINDOW_PREFIX)) == 0;
}

static void add_run(void *context, const struct lz_page_run *run)
{
	struct look *look = context;
	struct lz_inspected_mapping *mapping = look->mapping;
	struct lz_page_sums *sums = &mapping->sums;
	uint64_t bytes = run->end - run->start;
	unsigned shift = look->geometry->page_shift;
	bool window = is_window(mapping);
	/* Where the kernel does not say what is huge, pages of a window are taken to be. */
	bool huge = run->huge || (look->pages->from_entries && window && run->file);

	/*
	 * Only anonymous memory, which has no inode, has deposited tables below its huge pages. What a file's
	 * mapping shows as huge and not of the file is a private page of hugetlbfs.
	 */
	if (huge && mapping->inode != 0) {
		if (look->huge_shift == 0)
			look->huge_shift = huge_shift_of(look, run->start);
		shift = look->huge_shift;
	}
	sums->tables += lz_table_counter_add(&look->counter, run->start, run->end, shift);
	/* Some kernels show the huge zero page as a page of a file. Anonymous memory has no such pages. */
	if (run->guard)
		return;
	else if (run->not_present)
		sums->swapped += bytes;
	else if (run->zero ||
		 (run->file && (window || (mapping->inode == 0 && (huge || *mapping->path == '\0')))))
		sums->zero += bytes;
	else if (run->file)
		sums->file += bytes;
	else
		sums->written += bytes;
	if (huge && !run->not_present)
		sums->huge += bytes;
}

static int add_mapping(struct lz_snapshot *snapshot, const struct lz_mapping *mapping)
{
	struct lz_inspected_mapping *last =
		snapshot->count > 0 ? &snapshot->mappings[snapshot->count - 1] : NULL;
	char rights[5] = {mapping->readable ? 'r' : '-', mapping->writable ? 'w' : '-',
		mapping->executable ? 'x' : '-', mapping->shared ? 's' : 'p', '\0'};
	struct lz_inspected_mapping *larger;
	char *path;

	if (last != NULL && mapping->inode != 0 && last->end == mapping->start &&
		last->inode == mapping->inode && last->device == mapping->device &&
		strcmp(last->rights, rights) == 0) {
		last->end = mapping->end;
		last->sums.size = last->end - last->start;
		last->sums.mappings++;
		return 0;
	}
	larger = lz_array_grow(snapshot->mappings, snapshot->count, sizeof *larger);
	path = strdup(mapping->path);
	if (larger != NULL)
		snapshot->mappings = larger;
	if (larger == NULL || path == NULL) {
		free(path);
		return -ENOMEM;
	}
	last = &snapshot->mappings[snapshot->count++];
	*last = (struct lz_inspected_mapping){.sums = {.mappings = 1, .size = mapping->end - mapping->start},
		.start = mapping->start,
		.end = mapping->end,
		.device = mapping->device,
		.inode = mapping->inode,
		.path = path};
	memcpy(last->rights, rights, sizeof rights);
	return 0;
}

static int read_mappings(struct lz_snapshot *snapshot, const struct look *look)
{
	char path[PATH_MAX];
	struct lz_line_reader lines;
	char *line;
	int error;

	lz_proc_path(path, "", look->pid, "maps");
	error = lz_line_reader_open(&lines, &lz_os_linux, path);
	if (error)
		return error;
	while (error == 0 && (line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		/* The vsyscall page is above user space: it is the kernel's, with the kernel's tables. */
		if (lz_mapping_parse(line, &mapping) == 0 &&
			mapping.end <= UINT64_C(1) << look->geometry->user_bits)
			error = add_mapping(snapshot, &mapping);
	}
	if (error == 0)
		error = lines.error;
	lz_line_reader_close(&lines);
	return error;
}

static int read_tables(pid_t pid, uint64_t *bytes)
{
	char path[PATH_MAX];

	lz_proc_path(path, "", pid, "status");
	return lz_proc_value(&lz_os_linux, path, "VmPTE:", bytes);
}

/* look->pages is open. */
static int look_at(struct lz_snapshot *snapshot, struct look *look)
{
	uint64_t begin = lz_monotonic_ns();
	int error = read_tables(look->pid, &snapshot->tables_before);

	if (error == 0)
		error = read_mappings(snapshot, look);
	for (size_t i = 0; error == 0 && i < snapshot->count; i++) {
		look->mapping = &snapshot->mappings[i];
		look->huge_shift = 0;
		error = lz_pages_walk(look->pages, look->mapping->start, look->mapping->end, add_run, look);
		lz_page_sums_add(&snapshot->total, &look->mapping->sums);
	}
	if (error == 0)
		error = read_tables(look->pid, &snapshot->tables);
	snapshot->other_tables = (int64_t)(snapshot->tables - snapshot->total.tables);
	snapshot->elapsed_ns = lz_monotonic_ns() - begin;
	return error;
}

static int take_once(struct lz_snapshot *snapshot, struct look *look, uint64_t start_time)
{
	struct lz_process_id id;
	int error = lz_process_identify(&lz_os_linux, (uint64_t)look->pid, &id);
	bool current;

	if (error == 0 && id.start_time != start_time)
		error = -ESRCH;
	if (error == 0)
		error = lz_pages_open(look->pages, look->pid);
	if (error != 0)
		return error;
	error = look_at(snapshot, look);
	current = lz_pages_are_current(look->pages);
	lz_pages_close(look->pages);
	/* Without VmPTE, it has no memory any more. */
	if (error == -ENOENT || lz_process_identify(&lz_os_linux, (uint64_t)look->pid, &id) != 0 ||
		id.start_time != start_time)
		return -ESRCH;
	return current ? error : -ESTALE;
}

int lz_snapshot_take(struct lz_snapshot *snapshot, const struct lz_geometry *geometry, struct lz_pages *pages,
	pid_t pid, uint64_t start_time)
{
	int error = -ESTALE;

	*snapshot = (struct lz_snapshot){.count = 0};
	for (int i = 0; i < ATTEMPTS && error == -ESTALE; i++) {
		struct look look = {.geometry = geometry,
			.pid = pid,
			.pages = pages,
			.counter = lz_table_counter_init(geometry)};

		lz_snapshot_free(snapshot);
		error = take_once(snapshot, &look, start_time);
	}
	return error;
}

void lz_snapshot_free(struct lz_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->count; i++)
		free(snapshot->mappings[i].path);
	free(snapshot->mappings);
	*snapshot = (struct lz_snapshot){.count = 0};
}
