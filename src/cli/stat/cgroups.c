/* Prints control groups; see cgroups.h. */
#include "cli/stat/cgroups.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/json.h"
#include "cli/common/messages.h"
#include "cli/process/cgroups.h"
#include "cli/process/machine.h"
#include "cli/stat/print.h"

/* Seven columns of numbers take 47; the path has the rest of a line of 80. */
#define PATH_WIDTH 32u

static struct lz_display size_or_dash(uint64_t value, enum lz_units units)
{
	return value != LZ_UNKNOWN ? lz_size_text_in(value, units) : (struct lz_display){"-"};
}

static void print_row(const struct lz_cgroup *group, enum lz_units units)
{
	printf("%5" PRIu64 " %7s %7s %9s %7s %7s %s\n", group->processes,
		lz_size_text_in(group->tables, units).text, size_or_dash(group->charged, units).text,
		size_or_dash(group->charged_secondary, units).text, size_or_dash(group->usage, units).text,
		group->readable && group->limit == LZ_UNKNOWN ? "max"
							      : size_or_dash(group->limit, units).text,
		lz_printable_tail(group->path, PATH_WIDTH).text);
}

/* Says why there are dashes. */
static void print_notes(const struct lz_cgroups *groups)
{
	size_t version_1 = 0, unreadable = 0, without_controller = 0, without_secondary = 0;

	for (size_t i = 0; i < groups->count; i++) {
		const struct lz_cgroup *group = &groups->group[i];

		version_1 += group->hierarchy == LZ_CGROUP_V1;
		unreadable += !group->readable;
		if (!group->readable || group->hierarchy != LZ_CGROUP_V2)
			continue;
		without_controller += group->usage == LZ_UNKNOWN;
		without_secondary += group->usage != LZ_UNKNOWN && group->charged_secondary == LZ_UNKNOWN;
	}
	if (version_1 + unreadable + without_controller + without_secondary > 0)
		putchar('\n');
	if (version_1 > 0)
		puts("No CHARGED and SECONDARY: the memory controller is that of version 1 of control\n"
		     "groups, which does not count page tables.");
	if (without_secondary > 0)
		puts("No SECONDARY: Linux counts it since 6.1, and CHARGED since 5.11.");
	if (without_controller > 0)
		puts("No USAGE: the root group has none, nor has a group without the memory\n"
		     "controller, whose memory counts for one above it.");
	if (unreadable > 0)
		printf("No LIMIT: %zu group%s cannot be read: ended, or not below what is mounted here of\n"
		       "control groups.\n",
			unreadable, unreadable == 1 ? "" : "s");
}

static void print_table(const struct lz_stat_cgroups *request, const struct lz_machine *machine,
	const struct lz_cgroups *groups)
{
	if (request->headers) {
		printf("%s\n", lz_machine_line(machine).text);
		printf("%" PRIu64 " process%s in %zu control group%s: tables %s\n", groups->processes,
			groups->processes == 1 ? "" : "es", groups->count, groups->count == 1 ? "" : "s",
			lz_size_text_in(groups->tables, LZ_UNITS_AUTO).text);
		puts("PROCS  TABLES CHARGED SECONDARY   USAGE   LIMIT CGROUP");
	}
	for (size_t i = 0; i < groups->count; i++)
		print_row(&groups->group[request->reverse ? groups->count - 1 - i : i], request->units);
	if (request->headers)
		print_notes(groups);
}

static json_t *group_json(const struct lz_cgroup *group)
{
	json_t *object = json_object();

	json_object_set_new(object, "path", lz_json_string(group->path));
	json_object_set_new(object, "version", json_integer(group->hierarchy == LZ_CGROUP_V2 ? 2 : 1));
	json_object_set_new(object, "processes", lz_json_number(group->processes));
	json_object_set_new(object, "page_tables_bytes", lz_json_number(group->tables));
	json_object_set_new(object, "charged_page_tables_bytes", lz_json_number(group->charged));
	json_object_set_new(
		object, "charged_second_page_tables_bytes", lz_json_number(group->charged_secondary));
	json_object_set_new(object, "memory_usage_bytes", lz_json_number(group->usage));
	json_object_set_new(object, "memory_limit_bytes", lz_json_number(group->limit));
	return object;
}

static int print_json(const struct lz_stat_cgroups *request, const struct lz_machine *machine,
	const struct lz_cgroups *groups)
{
	json_t *object = json_object(), *array = json_array();

	json_object_set_new(object, "machine", lz_stat_machine_json(machine));
	json_object_set_new(object, "cgroups", array);
	for (size_t i = 0; i < groups->count; i++)
		json_array_append_new(
			array, group_json(&groups->group[request->reverse ? groups->count - 1 - i : i]));
	return lz_json_print(object);
}

static int report_none(const char *below)
{
	if (*below != '\0')
		lz_message(
			"%s: no process is in this control group or below it, among those that are visible",
			lz_printable(below).text);
	else
		lz_message("no control groups: no /proc/PID/cgroup names one");
	return 1;
}

int lz_stat_cgroups(const struct lz_stat_cgroups *request)
{
	struct lz_cgroups groups;
	struct lz_machine machine;
	int error = lz_cgroups_read(request->root, request->below, &groups);
	int status = 0;

	if (error == 0 && groups.count > 0) {
		lz_machine_read(request->root, &machine);
		if (request->json)
			status = print_json(request, &machine, &groups);
		else
			print_table(request, &machine, &groups);
	}
	if (error != 0)
		status = lz_fail(
			"cannot read %s/proc: %s", lz_printable(request->root).text, strerror(-error));
	else if (groups.count == 0)
		status = report_none(request->below);
	lz_cgroups_free(&groups);
	return status;
}

void lz_stat_cgroups_help(void)
{
	fputs("\nColumns with --cgroup:\n"
	      "  procs      processes in the group itself\n"
	      "  tables     sum of their page tables (VmPTE)\n"
	      "  charged    page tables charged to it and the groups below ('pagetables' of\n"
	      "             memory.stat); they stay charged when a process moves\n"
	      "  secondary  the same of virtual machines and devices ('sec_pagetables')\n"
	      "  usage      memory charged to it and the groups below\n"
	      "  limit      smallest memory limit of it and the groups above; max: none\n",
		stdout);
}
