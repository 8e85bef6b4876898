/* Mappings of a process; see mappings.h. */
#include "cli/process/mappings.h"

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "cli/process/table_counter.h"
#include "cli/process/stats_file.h"
#include "os/os.h"
#include "os/procfs.h"

/* Its window as the library names it (memfd_create): read through huge pages, whatever is written on top. */
#define WINDOW_PREFIX "/memfd:lazyzero"

struct walk {
	const char *root;
	struct lz_process *process;
	struct lz_table_counter touched;
	struct lz_large_mapping current; /* neighbours that are alike, so far */
};

/* The largest so far stay, in order. */
static void insert_largest(struct lz_process *process, const struct lz_large_mapping *large)
{
	unsigned at = process->largest_count;

	if (large->tables_if_touched == 0)
		return;
	while (at > 0 && process->largest[at - 1].tables_if_touched < large->tables_if_touched)
		at--;
	if (at >= LZ_LARGEST_MAX)
		return;
	if (process->largest_count < LZ_LARGEST_MAX)
		process->largest_count++;
	memmove(&process->largest[at + 1], &process->largest[at],
		(process->largest_count - 1 - at) * sizeof *process->largest);
	process->largest[at] = *large;
}

static unsigned page_shift_of(const struct walk *walk, const struct lz_mapping *mapping)
{
	const struct lz_geometry *geometry = walk->touched.geometry;
	char path[PATH_MAX];
	uint64_t bytes;

	if (strncmp(mapping->path, WINDOW_PREFIX, strlen(WINDOW_PREFIX)) == 0 && !mapping->shared)
		return geometry->levels > 1 ? lz_table_span_shift(geometry, 0) : geometry->page_shift;
	/* Only where it is likely: the kernel walks all page tables below for this file. */
	if (strstr(mapping->path, "huge") == NULL)
		return geometry->page_shift;
	snprintf(path, sizeof path, "%s/proc/%" PRIu64 "/smaps", walk->root, walk->process->pid);
	if (lz_mapping_value(&lz_os_linux, path, mapping->start, "KernelPageSize:", &bytes) != 0 ||
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
		insert_largest(walk->process, current);
		*current = (struct lz_large_mapping){.start = mapping->start};
		memcpy(current->rights, rights, sizeof rights);
		snprintf(current->path, sizeof current->path, "%s", mapping->path);
	}
	current->size += mapping->end - mapping->start;
	current->tables_if_touched += bytes;
}

/*
 * A mapping that looks like the library's statistics file, by length and offset, is asked for what it holds.
 * Seen from the process's own root directory, for those in containers; the look before opening is because
 * opening a device can have effects.
 */
static void find_stats_file(struct walk *walk, const struct lz_mapping *mapping)
{
	struct lz_process *process = walk->process;
	char path[PATH_MAX];
	struct stat status;
	struct lz_wire wire;
	int length;

	if (process->preloaded || !mapping->shared || !mapping->writable || mapping->inode == 0 ||
		mapping->offset != 0 || *mapping->path != '/' ||
		mapping->end - mapping->start != UINT64_C(1) << walk->touched.geometry->page_shift)
		return;
	if (*walk->root != '\0')
		length = snprintf(path, sizeof path, "%s%s", walk->root, mapping->path);
	else
		length = snprintf(path, sizeof path, "/proc/%" PRIu64 "/root%s", process->pid, mapping->path);
	if (length >= (int)sizeof path || fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISREG(status.st_mode) || status.st_size != LZ_WIRE_FILE_BYTES)
		return;
	/* In a PID namespace the process knows itself by another pid; the start time is the same. */
	if (lz_stats_file_read(AT_FDCWD, path, &wire) != NULL || wire.start_time != process->start_time)
		return;
	process->wire = wire;
	process->preloaded = true;
}

static void add(struct walk *walk, const struct lz_mapping *mapping)
{
	uint64_t bytes = 0;

	walk->process->mappings++;
	/* What nobody may touch costs nothing. */
	if (mapping->readable || mapping->writable || mapping->executable)
		bytes = lz_table_counter_add(
			&walk->touched, mapping->start, mapping->end, page_shift_of(walk, mapping));
	add_to_largest(walk, mapping, bytes);
	find_stats_file(walk, mapping);
}

int lz_mappings_read(const char *root, const struct lz_geometry *geometry, struct lz_process *process)
{
	struct walk walk = {.root = root, .process = process, .touched = lz_table_counter_init(geometry)};
	char path[PATH_MAX];
	struct lz_lines lines;
	char *line;
	int error;

	snprintf(path, sizeof path, "%s/proc/%" PRIu64 "/maps", root, process->pid);
	error = lz_lines_open(&lines, &lz_os_linux, path);
	if (error)
		return error;
	process->mappings = 0;
	while ((line = lz_lines_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) == 0)
			add(&walk, &mapping);
	}
	insert_largest(process, &walk.current);
	process->tables_if_touched = walk.touched.bytes;
	error = lines.error;
	lz_lines_close(&lines);
	if (error) {
		process->mappings = process->tables_if_touched = LZ_UNKNOWN;
		process->largest_count = 0;
	}
	return error;
}
