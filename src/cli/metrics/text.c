/* Writes the text formats; see text.h. */
#include "cli/metrics/text.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli/process/columns.h"

static const struct process_metric {
	const char *name;
	const char *help;
	bool is_counter;
	size_t offset; /* of its uint64_t in struct lz_process */
} process_metrics[] = {
	{"process_page_tables_bytes", "Page tables (VmPTE).", false, offsetof(struct lz_process, tables)},
	{"process_page_tables_if_touched_bytes", "Page tables if every mapped page were touched.", false,
		offsetof(struct lz_process, mappings.tables_if_touched)},
	{"process_mappings", "Mappings, which vm.max_map_count limits.", false,
		offsetof(struct lz_process, mappings.count)},
	{"process_virtual_bytes", "Address space.", false, offsetof(struct lz_process, virtual)},
	{"process_resident_bytes", "Resident memory; shared pages and the zero window count in full.", false,
		offsetof(struct lz_process, rss)},
	{"process_resident_shared_bytes", "The part of it that is shared memory or the zero window.", false,
		offsetof(struct lz_process, rss_shmem)},
	{"process_swap_bytes", "Swapped out.", false, offsetof(struct lz_process, swap)},
	{"process_threads", "Threads.", false, offsetof(struct lz_process, threads)},
	{"process_minor_faults_total", "Minor page faults.", true,
		offsetof(struct lz_process, stat.minor_faults)},
	{"process_major_faults_total", "Major page faults.", true,
		offsetof(struct lz_process, stat.major_faults)},
};

static const struct cgroup_metric {
	const char *name;
	const char *help;
	size_t offset; /* of its uint64_t in struct lz_cgroup */
} cgroup_metrics[] = {
	{"cgroup_processes", "Processes in the control group itself, preloaded or not.",
		offsetof(struct lz_cgroup, processes)},
	{"cgroup_page_tables_bytes", "Sum of the page tables (VmPTE) of these processes.",
		offsetof(struct lz_cgroup, tables)},
	{"cgroup_charged_page_tables_bytes",
		"Page tables charged to the group and those below (pagetables of memory.stat).",
		offsetof(struct lz_cgroup, charged)},
	{"cgroup_charged_second_page_tables_bytes",
		"The same of virtual machines and devices (sec_pagetables of memory.stat).",
		offsetof(struct lz_cgroup, charged_secondary)},
	{"cgroup_memory_usage_bytes", "Memory charged to the group and those below.",
		offsetof(struct lz_cgroup, usage)},
	{"cgroup_memory_limit_bytes", "Smallest memory limit of the group and those above.",
		offsetof(struct lz_cgroup, limit)},
};

void lz_metrics_write_metadata(
	FILE *out, const char *name, const char *help, bool is_counter, unsigned format)
{
	int length = (int)strlen(name);

	if (is_counter && format == LZ_METRICS_OPENMETRICS)
		length -= (int)strlen("_total");
	fprintf(out, "# HELP lazyzero_%.*s %s\n# TYPE lazyzero_%.*s %s\n", length, name, help, length, name,
		is_counter ? "counter" : "gauge");
}

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

void lz_metrics_write_label(FILE *out, const char *text, bool unique)
{
	bool is_plain = true;

	for (const char *at = text; *at != '\0'; at++)
		is_plain = is_plain && is_printable(*at);
	for (const char *at = text; *at != '\0'; at++) {
		if (!is_printable(*at) || (unique && !is_plain && (at == text || *at == '\\')))
			fprintf(out, "\\\\x%02x", (unsigned char)*at);
		else
			fprintf(out, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
	}
}

void lz_metrics_write_gauge(FILE *out, const char *name, const char *help, uint64_t value, unsigned format)
{
	lz_metrics_write_metadata(out, name, help, false, format);
	fprintf(out, "lazyzero_%s %" PRIu64 "\n", name, value);
}

void lz_metrics_write_processes(FILE *out, const struct lz_process *processes, size_t count, unsigned format)
{
	for (size_t i = 0; i < sizeof process_metrics / sizeof *process_metrics; i++) {
		const struct process_metric *metric = &process_metrics[i];

		lz_metrics_write_metadata(out, metric->name, metric->help, metric->is_counter, format);
		for (size_t j = 0; j < count; j++) {
			uint64_t value;

			memcpy(&value, (const char *)&processes[j] + metric->offset, sizeof value);
			if (value == LZ_UNKNOWN)
				continue;
			fprintf(out, "lazyzero_%s{pid=\"%" PRIu64 "\",name=\"", metric->name,
				processes[j].pid);
			lz_metrics_write_label(out, processes[j].name, false);
			fputs("\",user=\"", out);
			lz_metrics_write_label(out, lz_column_user(processes[j].uid).text, false);
			fprintf(out, "\"} %" PRIu64 "\n", value);
		}
	}
}

void lz_metrics_write_cgroups(FILE *out, const struct lz_cgroups *groups, unsigned format)
{
	for (size_t i = 0; i < sizeof cgroup_metrics / sizeof *cgroup_metrics; i++) {
		lz_metrics_write_metadata(out, cgroup_metrics[i].name, cgroup_metrics[i].help, false, format);
		for (size_t j = 0; j < groups->count; j++) {
			uint64_t value;

			memcpy(&value, (const char *)&groups->group[j] + cgroup_metrics[i].offset,
				sizeof value);
			if (value == LZ_UNKNOWN)
				continue;
			fprintf(out, "lazyzero_%s{cgroup=\"", cgroup_metrics[i].name);
			lz_metrics_write_label(out, groups->group[j].path, true);
			fprintf(out, "\"} %" PRIu64 "\n", value);
		}
	}
}
