/*
 * `lazyzero metrics`: prints the library's counters of all preloaded processes in the text format of
 * Prometheus, for the textfile collector of node_exporter, or in that of OpenMetrics.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/arguments.h"
#include "cli/common/array.h"
#include "cli/common/commands.h"
#include "cli/common/messages.h"
#include "cli/metrics/text.h"
#include "cli/process/totals.h"
#include "cli/process/unreadable.h"
#include "os/os.h"

enum { FLAG_FORMAT, FLAG_OUTPUT, FLAG_STATS, FLAG_CGROUP, FLAG_ALL };

static const char *const formats[] = {"prometheus", "openmetrics", NULL};

static const struct lz_flag flags[] = {
	[FLAG_FORMAT] = {.name = "format",
		.value = "prometheus|openmetrics",
		.help = "The text format of Prometheus, which the textfile collector of node_exporter reads, "
			"or OpenMetrics 1.0. Default: prometheus",
		.choices = formats,
		.accepts = "prometheus or openmetrics"},
	[FLAG_OUTPUT] = {.name = "output",
		.letter = 'o',
		.value = "FILE",
		.help = "Write to FILE. It is replaced atomically once everything is written.",
		.accepts = "the name of a file"},
	[FLAG_STATS] = {.name = "stats",
		.value = "PATH",
		.help = "Read the statistics files in PATH (LAZYZERO_STATS) instead of searching all "
			"processes. Files of processes that are gone are removed.",
		.accepts = "a directory or a file"},
	[FLAG_CGROUP] = {.name = "cgroup",
		.help = "Also print sums for each control group, over all its processes, preloaded or not."},
	[FLAG_ALL] = {.name = "all",
		.letter = 'a',
		.help = "Also print what /proc shows of every process, preloaded or not, and the same as "
			"with "
			"--cgroup."},
};

static const struct metric {
	const char *name;
	const char *help;
	bool is_counter;
	size_t offset; /* of its uint64_t in struct lz_wire */
} metrics[] = {
	{"budget_bytes", "Budget for page tables.", false, offsetof(struct lz_wire, budget)},
	{"committed_bytes", "Page tables if all tracked memory were touched.", false,
		offsetof(struct lz_wire, committed)},
	{"committed_peak_bytes", "Highest value of committed_bytes.", false,
		offsetof(struct lz_wire, committed_peak)},
	{"page_tables_bytes", "Page tables (VmPTE).", false, offsetof(struct lz_wire, actual)},
	{"page_tables_peak_bytes", "Highest value of page_tables_bytes.", false,
		offsetof(struct lz_wire, actual_peak)},
	{"regions", "Live regions of the library.", false, offsetof(struct lz_wire, regions)},
	{"region_bytes", "Size of live regions.", false, offsetof(struct lz_wire, region_bytes)},
	{"regions_served_total", "Regions served since the start.", true,
		offsetof(struct lz_wire, regions_total)},
	{"region_served_bytes_total", "Size of regions served since the start.", true,
		offsetof(struct lz_wire, region_bytes_total)},
	{"mappings_made_total", "Large mappings created by the program itself.", true,
		offsetof(struct lz_wire, mappings_total)},
	{"mapping_made_bytes_total", "Size of large mappings created by the program itself.", true,
		offsetof(struct lz_wire, mapping_bytes_total)},
	{"over_budget_total", "Requests served although they exceeded the budget.", true,
		offsetof(struct lz_wire, over_budget)},
	{"refused_total", "Requests refused.", true, offsetof(struct lz_wire, refused)},
	{"untracked_total", "Calls that bypassed the library.", true, offsetof(struct lz_wire, untracked)},
	{"windowed_total", "Requests kept within the budget by a zero window.", true,
		offsetof(struct lz_wire, windowed)},
	{"window_regions", "Live regions backed by a zero window.", false,
		offsetof(struct lz_wire, window_regions)},
	{"window_region_bytes", "Size of live regions backed by a zero window.", false,
		offsetof(struct lz_wire, window_region_bytes)},
	{"minor_faults_total", "Minor faults of the process.", true, offsetof(struct lz_wire, minor_faults)},
	{"window_made_total", "Regions and mappings backed by a zero window since the start.", true,
		offsetof(struct lz_wire, window_regions_total)},
	{"window_bytes", "Memory used by the zero window itself.", false,
		offsetof(struct lz_wire, window_size)},
	{"window_mappings", "Mappings (VMAs) of live regions backed by a zero window.", false,
		offsetof(struct lz_wire, window_mappings)},
	{"recycled_total", "Requests served by a region kept for reuse.", true,
		offsetof(struct lz_wire, recycled)},
	{"recycled_bytes_total", "Size of requests served by a region kept for reuse.", true,
		offsetof(struct lz_wire, recycled_bytes)},
	{"kept_bytes", "Upper bound of the resident memory of regions kept for reuse.", false,
		offsetof(struct lz_wire, cache_bytes)},
	{"memset_bytes_total", "Size of zeros that large memset calls asked for.", true,
		offsetof(struct lz_wire, memset_bytes)},
	{"memset_written_bytes_total", "Size of these zeros that had to be written.", true,
		offsetof(struct lz_wire, memset_written_bytes)},
};

/* The counters to be written. */
struct collection {
	struct lz_wire *wires;
	size_t count;
	uint64_t unreadable;           /* processes or files */
	struct lz_unreadable counters; /* preloaded processes of which the counters could not be read */
	struct lz_table_totals totals;
	struct lz_process *processes; /* with --all: those that have memory */
	size_t process_count;
	struct lz_cgroups groups;
	bool with_processes, with_groups;
	bool failed; /* out of memory */
};

/* Adds a preloaded process. */
static void collect(struct collection *collection, const struct lz_process *process)
{
	struct lz_wire *wires = lz_array_grow(collection->wires, collection->count, sizeof *wires);

	if (wires == NULL) {
		collection->failed = true;
		return;
	}
	collection->wires = wires;
	collection->wires[collection->count++] = process->mappings.wire;
	lz_table_totals_add(&collection->totals, process);
}

static void collect_any(struct collection *collection, const struct lz_process *process)
{
	struct lz_process *larger =
		lz_array_grow(collection->processes, collection->process_count, sizeof *larger);

	if (larger == NULL) {
		collection->failed = true;
		return;
	}
	collection->processes = larger;
	larger[collection->process_count++] = *process;
}

static void collect_file(void *context, const char *name, const struct lz_wire *wire, const char *error)
{
	struct collection *collection = context;
	struct lz_process process;

	(void)name;
	if (error != NULL) {
		collection->unreadable++;
	} else if (lz_stats_owner(wire) == LZ_STATS_OWNER_ALIVE) {
		lz_process_of_stats_file(&process, wire, LZ_STATS_OWNER_ALIVE);
		process.tables = process.mappings.wire.actual;
		collect(collection, &process);
	}
}

static int collect_processes(struct collection *collection)
{
	const struct lz_geometry *geometry = lz_geometry_probe(&lz_os_linux);
	pid_t *pids;
	size_t count;
	int error = lz_process_list("", &pids, &count);

	if (error)
		return lz_fail("cannot read /proc: %s", strerror(-error));
	if (count == 0)
		return lz_fail("no process in /proc: it is not mounted");
	for (size_t i = 0; i < count; i++) {
		struct lz_process process;

		if (lz_process_read("", geometry, pids[i], LZ_READ_MAPS, &process) != 0)
			continue;
		if (collection->with_processes && lz_process_has_memory(&process))
			collect_any(collection, &process);
		collection->unreadable += process.maps_error != 0 || process.mappings.wire_error != 0;
		lz_unreadable_add(&collection->counters, &process, process.mappings.wire_error);
		if (process.mappings.preloaded) {
			/* The pid in our PID namespace, not in that of the process. */
			process.mappings.wire.pid = process.pid;
			collect(collection, &process);
		}
	}
	free(pids);
	return 0;
}

static void write_metrics(FILE *out, const struct collection *collection, unsigned format)
{
	for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
		lz_metrics_write_metadata(
			out, metrics[i].name, metrics[i].help, metrics[i].is_counter, format);
		for (size_t j = 0; j < collection->count; j++) {
			const struct lz_wire *wire = &collection->wires[j];
			uint64_t value;

			memcpy(&value, (const char *)wire + metrics[i].offset, sizeof value);
			if (value == LZ_UNKNOWN)
				continue;
			fprintf(out, "lazyzero_%s{pid=\"%" PRIu64 "\",executable=\"", metrics[i].name,
				wire->pid);
			lz_metrics_write_label(out, wire->executable, false);
			fprintf(out, "\"} %" PRIu64 "\n", value);
		}
	}
	if (collection->with_processes)
		lz_metrics_write_processes(out, collection->processes, collection->process_count, format);
	if (collection->with_groups)
		lz_metrics_write_cgroups(out, &collection->groups, format);
	lz_metrics_write_gauge(
		out, "processes", "Processes that the library is active in.", collection->count, format);
	lz_metrics_write_gauge(out, "page_tables_sum_bytes", "Sum of the page tables of these processes.",
		collection->totals.tables, format);
	lz_metrics_write_gauge(out, "page_tables_peaks_sum_bytes",
		"Sum of their highest page tables, an upper bound of what they had at one time.",
		collection->totals.peaks, format);
	lz_metrics_write_gauge(out, "unreadable", "Processes or files that could not be read.",
		collection->unreadable, format);
	fputs("# EOF\n", out);
}

/* For a device or a pipe, which must not be replaced by a regular file. */
static int write_in_place(const char *path, const struct collection *collection, unsigned format)
{
	FILE *out = fopen(path, "we");

	if (out != NULL)
		write_metrics(out, collection, format);
	if (out == NULL || (ferror(out) | (fclose(out) != 0)))
		return lz_fail_write(path, errno);
	return 0;
}

/*
 * Writes a temporary file and renames it, so that a concurrent reader sees the old contents or the new ones.
 * If the path is a symbolic link, its target is replaced.
 */
static int replace_file(const char *path, const struct collection *collection, unsigned format)
{
	char temporary[PATH_MAX], file[PATH_MAX];
	struct stat status;
	mode_t mask = umask(0);
	FILE *out = NULL;
	int fd = -1;

	umask(mask);
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		return write_in_place(path, collection, format);
	if (realpath(path, file) != NULL)
		path = file;
	if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) < (int)sizeof temporary)
		fd = mkostemp(temporary, O_CLOEXEC);
	if (fd >= 0)
		out = fdopen(fd, "w");
	if (out == NULL)
		return lz_fail_write(path, errno);
	fchmod(fd, 0666 & ~mask);
	write_metrics(out, collection, format);
	if (ferror(out) | (fclose(out) != 0) || rename(temporary, path) != 0) {
		lz_fail_write(path, errno);
		unlink(temporary);
		return LZ_EXIT_FAILURE;
	}
	return 0;
}

static int run(const struct lz_arguments *arguments)
{
	unsigned format = lz_arguments_choice(arguments, FLAG_FORMAT);
	const char *stats = arguments->values[FLAG_STATS];
	const char *output = arguments->values[FLAG_OUTPUT];
	struct collection collection = {.wires = NULL};
	int status = 0;

	collection.with_processes = arguments->values[FLAG_ALL] != NULL;
	collection.with_groups = collection.with_processes || arguments->values[FLAG_CGROUP] != NULL;
	if (collection.with_processes && stats != NULL)
		return lz_fail_usage(
			"metrics", "--all cannot be used with --stats, which reads no processes");
	if (stats == NULL) {
		status = collect_processes(&collection);
	} else {
		int error = lz_stats_file_each(stats, true, collect_file, &collection);

		if (error)
			status = lz_fail_read(stats, -error);
	}
	if (status == 0 && collection.with_groups)
		collection.failed |= lz_cgroups_read("", "", &collection.groups) != 0;
	if (status == 0 && collection.failed)
		status = lz_fail_memory();
	lz_unreadable_report_counters(&collection.counters);
	if (status == 0 && output != NULL)
		status = replace_file(output, &collection, format);
	else if (status == 0)
		write_metrics(stdout, &collection, format);
	free(collection.wires);
	free(collection.processes);
	lz_cgroups_free(&collection.groups);
	return status;
}

const struct lz_command lz_command_metrics = {
	.name = "metrics",
	.summary = "print the counters of all preloaded processes for Prometheus",
	.usage = "[OPTION]...",
	.description =
		"Prints the library's counters of every process in which it is active, with the labels pid "
		"and executable, and sums over these processes. With --all it prints the memory and page "
		"tables of every process and control group as well.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.run = run,
};
