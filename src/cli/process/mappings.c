/* Reads /proc/PID/maps; see mappings.h. */
#include "cli/process/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "cli/process/proc_stat.h"
#include "cli/process/proc_text.h"
#include "cli/process/stats_file.h"
#include "cli/process/table_counter.h"
#include "os/os.h"
#include "os/procfs.h"

/* The page of the library's counters where the kernel shows its name, and the library itself. */
#define PAGE_NAME "[anon:" LZ_WIRE_MEMORY_NAME "]"
#define LIBRARY_PREFIX "/liblazyzero.so"

struct walk {
	const char *root;
	uint64_t pid, start_time;
	struct lz_mappings *mappings;
	struct lz_table_counter counter;
	struct lz_large_mapping current; /* the adjacent mappings of one kind seen last */
	bool library_mapped;
};

/* Keeps the LZ_LARGEST_MAX largest, in descending order. */
static void insert_largest(struct lz_mappings *mappings, const struct lz_large_mapping *mapping)
{
	struct lz_large_mapping *largest = mappings->largest;
	unsigned at = mappings->largest_count;

	if (mapping->tables_if_touched == 0)
		return;
	while (at > 0 && largest[at - 1].tables_if_touched < mapping->tables_if_touched)
		at--;
	if (at >= LZ_LARGEST_MAX)
		return;
	if (mappings->largest_count < LZ_LARGEST_MAX)
		mappings->largest_count++;
	memmove(&largest[at + 1], &largest[at], (mappings->largest_count - 1 - at) * sizeof *largest);
	largest[at] = *mapping;
}

static unsigned page_shift_of(const struct walk *walk, const struct lz_mapping *mapping)
{
	const struct lz_geometry *geometry = walk->counter.geometry;
	char path[PATH_MAX];
	uint64_t bytes;

	if (strncmp(mapping->path, LZ_WINDOW_PREFIX, strlen(LZ_WINDOW_PREFIX)) == 0 && !mapping->shared)
		return geometry->levels > 1 ? lz_table_span_shift(geometry, 0) : geometry->page_shift;
	/*
	 * Read smaps only if hugetlbfs is likely: to produce it the kernel walks the page tables of every
	 * mapping.
	 */
	if (strstr(mapping->path, "huge") == NULL)
		return geometry->page_shift;
	lz_proc_path(path, walk->root, (pid_t)walk->pid, "smaps");
	if (lz_smaps_value(&lz_os_linux, path, mapping->start, "KernelPageSize:", &bytes) != 0 ||
		!lz_is_power_of_two(bytes))
		return geometry->page_shift;
	return (unsigned)__builtin_ctzl(bytes);
}

static void add_to_largest(struct walk *walk, const struct lz_mapping *mapping, uint64_t bytes)
{
	struct lz_large_mapping *current = &walk->current;
	char rights[5] = {mapping->readable ? 'r' : '-', mapping->writable ? 'w' : '-',
		mapping->executable ? 'x' : '-', mapping->shared ? 's' : 'p', '\0'};

	if (current->start + current->size != mapping->start ||
		strncmp(current->path, mapping->path, sizeof current->path - 1) != 0 ||
		memcmp(current->rights, rights, sizeof rights) != 0) {
		insert_largest(walk->mappings, current);
		*current = (struct lz_large_mapping){.start = mapping->start};
		memcpy(current->rights, rights, sizeof rights);
		snprintf(current->path, sizeof current->path, "%s", mapping->path);
	}
	current->size += mapping->end - mapping->start;
	current->tables_if_touched += bytes;
}

/* Asked before the file is opened, since opening a device can have side effects. */
static bool is_stats_file(const char *path)
{
	struct stat status;

	return fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
	       status.st_size == LZ_WIRE_FILE_BYTES;
}

/*
 * Reads the page of the library's counters. The kernel may not show the name of the page, so that every
 * mapping of one page is looked at.
 */
static void find_stats_page(struct walk *walk, const struct lz_mapping *mapping)
{
	struct lz_mappings *found = walk->mappings;
	bool named = strcmp(mapping->path, PAGE_NAME) == 0;
	int error;

	if (found->preloaded || *walk->root != '\0' || (!named && *mapping->path != '\0') ||
		mapping->shared || !mapping->readable || !mapping->writable || mapping->executable ||
		mapping->inode != 0 ||
		mapping->end - mapping->start != UINT64_C(1) << walk->counter.geometry->page_shift ||
		(found->wire_error != 0 && !named))
		return;
	error = lz_stats_page_read((pid_t)walk->pid, mapping->start, &found->wire);
	found->in_page = found->preloaded = error == 0;
	if (error == 0 || error == -EINVAL)
		return;
	found->wire_error = error;
	found->preloaded = named;
}

/* If the counters may not be read and no name shows them, the mapped library says that they exist. */
static void find_library(struct walk *walk, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash != NULL && strncmp(slash, LIBRARY_PREFIX, strlen(LIBRARY_PREFIX)) == 0)
		walk->library_mapped = true;
}

/*
 * Reads the library's statistics file if the mapping has its length, offset and permissions. The file is
 * opened below the root directory of the process, which may be in a container.
 */
static void find_stats_file(struct walk *walk, const struct lz_mapping *mapping)
{
	struct lz_mappings *found = walk->mappings;
	char path[PATH_MAX], *escaped;
	struct lz_wire wire;
	int length;

	if ((found->preloaded && !found->in_page) || !mapping->shared || !mapping->writable ||
		mapping->inode == 0 || mapping->offset != 0 || *mapping->path != '/' ||
		mapping->end - mapping->start != UINT64_C(1) << walk->counter.geometry->page_shift)
		return;
	if (*walk->root != '\0')
		length = snprintf(path, sizeof path, "%s%s", walk->root, mapping->path);
	else
		length = snprintf(path, sizeof path, "/proc/%" PRIu64 "/root%s", walk->pid, mapping->path);
	if (length >= (int)sizeof path)
		return;
	escaped = path + length - strlen(mapping->path);
	if (!is_stats_file(path) && (!lz_proc_unescape_path(escaped) || !is_stats_file(path)))
		return;
	/* A process in a PID namespace writes another pid into the file, but the same start time. */
	if (lz_stats_file_read(AT_FDCWD, path, &wire) != NULL || wire.start_time != walk->start_time)
		return;
	found->wire = wire;
	found->preloaded = true;
	found->in_page = false;
	found->wire_error = 0;
}

static void add_mapping(struct walk *walk, const struct lz_mapping *mapping)
{
	uint64_t bytes = 0;

	walk->mappings->count++;
	/* PROT_NONE mappings cannot be touched and need no tables. */
	if (mapping->readable || mapping->writable || mapping->executable)
		bytes = lz_table_counter_add(
			&walk->counter, mapping->start, mapping->end, page_shift_of(walk, mapping));
	add_to_largest(walk, mapping, bytes);
	find_library(walk, mapping->path);
	find_stats_page(walk, mapping);
	find_stats_file(walk, mapping);
}

int lz_mappings_read(const char *root, const struct lz_geometry *geometry, uint64_t pid, uint64_t start_time,
	struct lz_mappings *mappings)
{
	struct walk walk = {.root = root,
		.pid = pid,
		.start_time = start_time,
		.mappings = mappings,
		.counter = lz_table_counter_init(geometry)};
	char path[PATH_MAX];
	struct lz_line_reader lines;
	char *line;
	int error;

	*mappings = (struct lz_mappings){.count = LZ_UNKNOWN, .tables_if_touched = LZ_UNKNOWN};
	lz_proc_path(path, root, (pid_t)pid, "maps");
	error = lz_line_reader_open(&lines, &lz_os_linux, path);
	if (error)
		return error;
	mappings->count = 0;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) == 0)
			add_mapping(&walk, &mapping);
	}
	insert_largest(mappings, &walk.current);
	if (mappings->wire_error != 0 && walk.library_mapped)
		mappings->preloaded = true;
	if (!mappings->preloaded)
		mappings->wire_error = 0;
	mappings->tables_if_touched = walk.counter.bytes;
	error = lines.error;
	lz_line_reader_close(&lines);
	if (error) {
		mappings->count = mappings->tables_if_touched = LZ_UNKNOWN;
		mappings->largest_count = 0;
	}
	return error;
}
