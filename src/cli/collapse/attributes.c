/* Reads the attributes of mappings; see attributes.h. */
#include "cli/collapse/attributes.h"

#include <string.h>

#include "base/parse.h"
#include "cli/process/proc_stat.h"
#include "os/os.h"
#include "os/procfs.h"

/* The names are those of Documentation/filesystems/proc.rst. */
static const struct {
	char flag[4];
	const char *reason;
} flags[] = {
	{" lo", "it is locked in memory (mlock)"},
	{" um", "it is watched by userfaultfd"},
	{" uw", "it is watched by userfaultfd"},
	{" ui", "it is watched by userfaultfd"},
	{" nh", "it is excluded from huge pages (MADV_NOHUGEPAGE)"},
};

static struct lz_shared_mapping *find_mapping(struct lz_sharing *sharing, size_t sharer, uint64_t start)
{
	for (size_t i = 0; i < sharing->object_count; i++)
		for (size_t j = 0; j < sharing->objects[i].mapping_count; j++) {
			struct lz_shared_mapping *mapping = &sharing->objects[i].mappings[j];

			if (mapping->sharer == sharer && mapping->start == start)
				return mapping;
		}
	return NULL;
}

static void note_flags(struct lz_shared_mapping *mapping, const char *line)
{
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strstr(line, flags[i].flag) != NULL)
			mapping->left_alone = flags[i].reason;
}

/* Returns whether the file could be read. */
static bool read_flags(struct lz_sharing *sharing, size_t sharer)
{
	struct lz_shared_mapping *current = NULL;
	char path[PATH_MAX];
	struct lz_line_reader lines;
	bool complete;
	char *line;

	lz_proc_path(path, "", sharing->sharers[sharer].pid, "smaps");
	if (lz_line_reader_open(&lines, &lz_os_linux, path) != 0)
		return false;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (strncmp(line, "VmFlags:", 8) == 0 && current != NULL)
			note_flags(current, line);
		else if (lz_mapping_parse(line, &mapping) == 0)
			current = mapping.shared ? find_mapping(sharing, sharer, mapping.start) : NULL;
	}
	complete = lines.error == 0;
	lz_line_reader_close(&lines);
	return complete;
}

/* Lines are "ADDRESS POLICY ...". The file is missing in kernels without NUMA. */
static void read_policies(struct lz_sharing *sharing, size_t sharer)
{
	char path[PATH_MAX];
	struct lz_line_reader lines;
	char *line;

	lz_proc_path(path, "", sharing->sharers[sharer].pid, "numa_maps");
	if (lz_line_reader_open(&lines, &lz_os_linux, path) != 0)
		return;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		const char *cursor = line;
		struct lz_shared_mapping *mapping;
		uint64_t start;

		if (lz_scan_hex(&cursor, &start) != 0 || strncmp(cursor, " default", 8) == 0 ||
			strncmp(cursor, " local", 6) == 0)
			continue;
		mapping = find_mapping(sharing, sharer, start);
		if (mapping != NULL)
			mapping->left_alone = "a NUMA policy says where its pages are (mbind)";
	}
	lz_line_reader_close(&lines);
}

void lz_attributes_examine(struct lz_sharing *sharing, size_t sharer)
{
	if (sharing->sharers[sharer].examined)
		return;
	sharing->sharers[sharer].examined = true;
	if (read_flags(sharing, sharer)) {
		read_policies(sharing, sharer);
		return;
	}
	for (size_t i = 0; i < sharing->object_count; i++)
		for (size_t j = 0; j < sharing->objects[i].mapping_count; j++)
			if (sharing->objects[i].mappings[j].sharer == sharer)
				sharing->objects[i].mappings[j].left_alone =
					"the attributes of its mapping cannot be read (/proc/PID/smaps)";
}

void lz_attributes_examine_locked(struct lz_sharing *sharing)
{
	for (size_t i = 0; i < sharing->sharer_count; i++)
		if (sharing->sharers[i].locked > 0)
			lz_attributes_examine(sharing, i);
}
