/* Reads /proc/PID; see process.h. */
#include "cli/process/process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/parse.h"
#include "cli/common/array.h"
#include "cli/process/proc_text.h"
#include "os/os.h"
#include "os/procfs.h"

/* Parses the number in a line "Name:   N kB" or "Name:  N ..." of status; kB become bytes. */
static void parse_value(const char *line, uint64_t *value)
{
	const char *cursor = line + strspn(line, " \t");
	uint64_t number;

	if (lz_scan_u64(&cursor, &number) != 0)
		return;
	if (strcmp(cursor, " kB") == 0 && __builtin_mul_overflow(number, 1024u, &number))
		return;
	*value = number;
}

static int read_status(const char *root, pid_t pid, struct lz_process *process)
{
	const struct {
		const char *name;
		uint64_t *value;
	} numbers[] = {
		{"PPid:", &process->parent},
		{"Uid:", &process->uid},
		{"Threads:", &process->threads},
		{"VmSize:", &process->virtual},
		{"VmRSS:", &process->rss},
		{"RssShmem:", &process->rss_shmem},
		{"VmPTE:", &process->tables},
		{"VmSwap:", &process->swap},
	};
	char path[PATH_MAX];
	struct lz_line_reader lines;
	char *line;
	int error;

	lz_proc_path(path, root, pid, "status");
	error = lz_line_reader_open(&lines, &lz_os_linux, path);
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		if (strncmp(line, "Name:\t", 6) == 0) {
			snprintf(process->name, sizeof process->name, "%.63s", line + 6);
			lz_proc_unescape_name(process->name);
		}
		/* The last number is that of the innermost namespace. */
		if (strncmp(line, "NSpid:", 6) == 0)
			parse_value(strrchr(line, '\t'), &process->own_pid);
		for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
			if (strncmp(line, numbers[i].name, strlen(numbers[i].name)) == 0)
				parse_value(line + strlen(numbers[i].name), numbers[i].value);
	}
	error = lines.error;
	lz_line_reader_close(&lines);
	return error != 0 ? error : process->uid == LZ_UNKNOWN ? -ESRCH : 0;
}

static int read_pss(const char *root, pid_t pid, struct lz_process *process)
{
	char path[PATH_MAX];

	lz_proc_path(path, root, pid, "smaps_rollup");
	return lz_proc_value(&lz_os_linux, path, "Pss:", &process->pss);
}

void lz_process_init(struct lz_process *process, pid_t pid)
{
	memset(process, 0, sizeof *process);
	process->pid = (uint64_t)pid;
	process->own_pid = process->pid;
	process->parent = process->uid = process->threads = LZ_UNKNOWN;
	process->stat = (struct lz_proc_stat){'\0', LZ_UNKNOWN, LZ_UNKNOWN, LZ_UNKNOWN};
	process->virtual = process->rss = process->rss_shmem = process->pss = process->swap = LZ_UNKNOWN;
	process->tables = process->tables_to_rss = LZ_UNKNOWN;
	process->mappings.count = process->mappings.tables_if_touched = LZ_UNKNOWN;
}

void lz_process_set_ratio(struct lz_process *process)
{
	if (process->tables != LZ_UNKNOWN && process->rss != LZ_UNKNOWN && process->rss > 0)
		process->tables_to_rss = (uint64_t)((__uint128_t)process->tables * 1000 / process->rss);
}

void lz_process_update_counters(struct lz_process *process)
{
	struct lz_wire *wire = &process->mappings.wire;

	if (process->tables != LZ_UNKNOWN)
		wire->actual = process->tables;
	if (wire->actual != LZ_UNKNOWN)
		wire->actual_peak = wire->actual_peak != LZ_UNKNOWN
					    ? lz_max_u64(wire->actual, wire->actual_peak)
					    : wire->actual;
	if (process->stat.minor_faults != LZ_UNKNOWN)
		wire->minor_faults = process->stat.minor_faults;
}

void lz_process_of_stats_file(
	struct lz_process *process, const struct lz_wire *wire, enum lz_stats_owner owner)
{
	if (owner != LZ_STATS_OWNER_ALIVE || lz_process_read("", NULL, (pid_t)wire->pid, 0, process) != 0 ||
		process->stat.start_time != wire->start_time)
		lz_process_init(process, (pid_t)wire->pid);
	process->mappings.wire = *wire;
	process->mappings.preloaded = true;
	lz_process_update_counters(process);
}

static void complete_counters(struct lz_process *process)
{
	struct lz_mappings *mappings = &process->mappings;

	/* Of a file as well: a child that forked within a clock tick has the start time of its parent. */
	if (mappings->wire_error == 0 && mappings->wire.pid != process->own_pid) {
		lz_stats_page_of_child(&mappings->wire, process->own_pid);
	} else if (mappings->in_page && mappings->wire.state == LZ_WIRE_IN_FILE) {
		/* The file has been removed or is out of reach, else it would have been found. */
		mappings->wire_error = -ENOENT;
	}
	if (mappings->wire_error != 0)
		lz_stats_unknown(&mappings->wire, process->own_pid, process->name);
	lz_process_update_counters(process);
}

int lz_process_read(const char *root, const struct lz_geometry *geometry, pid_t pid, unsigned read_flags,
	struct lz_process *process)
{
	int error;

	lz_process_init(process, pid);
	error = lz_proc_stat_read(root, pid, &process->stat);
	if (!error)
		error = read_status(root, pid, process);
	if (error || !lz_process_has_memory(process))
		return error;
	lz_process_set_ratio(process);
	if (read_flags & LZ_READ_PSS)
		process->pss_error = read_pss(root, pid, process);
	if (read_flags & LZ_READ_MAPS)
		process->maps_error = lz_mappings_read(
			root, geometry, process->pid, process->stat.start_time, &process->mappings);
	if (process->mappings.preloaded)
		complete_counters(process);
	return process->pss_error == -ESRCH || process->maps_error == -ESRCH ? -ESRCH : 0;
}

static int ascending(const void *a, const void *b)
{
	pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;

	return (left > right) - (left < right);
}

int lz_process_list(const char *root, pid_t **pids, size_t *count)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int error = 0;
	DIR *directory;

	*pids = NULL;
	*count = 0;
	if (snprintf(path, sizeof path, "%s/proc", root) >= (int)sizeof path)
		return -ENAMETOOLONG;
	directory = opendir(path);
	if (directory == NULL)
		return -errno;
	while (error == 0 && (entry = readdir(directory)) != NULL) {
		uint64_t pid;
		pid_t *larger;

		if (lz_parse_u64(entry->d_name, &pid) != 0 || pid == 0 || pid > INT_MAX)
			continue;
		larger = lz_array_grow(*pids, *count, sizeof *larger);
		if (larger == NULL) {
			error = -ENOMEM;
		} else {
			*pids = larger;
			larger[(*count)++] = (pid_t)pid;
		}
	}
	closedir(directory);
	if (error) {
		free(*pids);
		*pids = NULL;
	} else if (*count > 0) {
		qsort(*pids, *count, sizeof **pids, ascending);
	}
	return error;
}

bool lz_process_hidepid(const char *root)
{
	char path[PATH_MAX];
	struct lz_line_reader lines;
	bool hidden = false;
	char *line;

	snprintf(path, sizeof path, "%s/proc/self/mounts", root);
	if (lz_line_reader_open(&lines, &lz_os_linux, path) != 0)
		return false;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		const char *option = strstr(line, "hidepid=");

		if (strstr(line, " /proc proc ") != NULL && option != NULL)
			hidden = strncmp(option + 8, "0", 1) != 0 && strncmp(option + 8, "off", 3) != 0;
	}
	lz_line_reader_close(&lines);
	return hidden;
}
