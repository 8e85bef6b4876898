/*
 * `lazyzero collapse`: turns the filled parts of shared memory of running processes into huge pages, which
 * frees the page tables of every process that maps it. Works for any process, preloaded or not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/collapse/attributes.h"
#include "cli/collapse/print.h"
#include "cli/collapse/targets.h"
#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/messages.h"
#include "os/facts.h"

enum { FLAG_TREE, FLAG_CGROUP, FLAG_DRY_RUN, FLAG_MIN_DENSITY, FLAG_FILE_DENSITY, FLAG_RATE, FLAG_JSON };

static const struct lz_flag flags[] = {
	[FLAG_TREE] = {.name = "tree",
		.value = "PID",
		.help = "Examine this process and all its descendants.",
		.accepts = "a process ID"},
	[FLAG_CGROUP] = {.name = "cgroup",
		.value = "PATH",
		.help = "Examine the processes of this control group and of those below it. PATH is as in "
			"/proc/PID/cgroup, or the group's directory.",
		.accepts = "the path of a control group"},
	[FLAG_DRY_RUN] = {.name = "dry-run",
		.letter = 'n',
		.help = "Only show the shared memory, and how much of it is worth collapsing."},
	[FLAG_MIN_DENSITY] = {.name = "min-density",
		.value = "PERCENT",
		.help = "Collapse a block of shared anonymous memory or of a System V segment if at least "
			"this share of its pages is there; the rest is filled. Default: 50%",
		.accepts = "a percentage from 1% to 100%"},
	[FLAG_FILE_DENSITY] = {.name = "file-density",
		.value = "PERCENT",
		.help = "The same for memfds and files on tmpfs, in which a program may have punched holes. "
			"Default: 100%, so no hole is filled",
		.accepts = "a percentage from 1% to 100%"},
	[FLAG_RATE] = {.name = "rate",
		.value = "PERCENT",
		.help = "Use at most this share of a processor. Default: 50%",
		.accepts = "a percentage from 1% to 100%"},
	[FLAG_JSON] = {.name = "json", .help = "Print a JSON object, sizes in bytes."},
};

/* Returns 0, or an exit status after an error message. */
static int parse_percent(const struct lz_arguments *arguments, unsigned flag, unsigned *percent)
{
	const char *value = arguments->values[flag], *cursor = value;
	uint64_t number;

	if (value == NULL)
		return 0;
	if (lz_scan_u64(&cursor, &number) != 0 || (strcmp(cursor, "") != 0 && strcmp(cursor, "%") != 0) ||
		number < 1 || number > 100)
		return lz_fail_usage("collapse", "--%s: \"%s\" is not accepted: it takes %s",
			flags[flag].name, lz_printable(value).text, flags[flag].accepts);
	*percent = (unsigned)number;
	return 0;
}

static int choose_processes(const struct lz_arguments *arguments, struct lz_sharing *sharing, bool *complete)
{
	const char *tree = arguments->values[FLAG_TREE], *cgroup = arguments->values[FLAG_CGROUP];
	int status, error;

	if ((arguments->operand_count > 0) + (tree != NULL) + (cgroup != NULL) != 1)
		return lz_fail_usage(
			"collapse", "it takes process IDs, --tree or --cgroup: one of the three");
	status = tree != NULL     ? lz_targets_add_tree(sharing, tree, complete)
		 : cgroup != NULL ? lz_targets_add_cgroup(sharing, cgroup, complete)
				  : lz_targets_add_pids(sharing, arguments->operands, complete);
	if (status != 0)
		return status;
	error = sharing->object_count > 0 ? lz_sharing_add_others(sharing) : 0;
	return error ? lz_fail("cannot read /proc: %s", strerror(-error)) : 0;
}

/* A pidfd for each process, and a pagemap for each if the objects cannot be opened. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int plan(struct lz_collapse_work *work)
{
	struct lz_sharing *sharing = work->sharing;

	lz_attributes_examine_locked(sharing);
	for (size_t i = 0; i < sharing->object_count; i++) {
		struct lz_shared_object *object = &sharing->objects[i];
		uint64_t counts[LZ_BLOCK_STATES] = {0}, pages = 0;
		struct lz_view view;
		int error = lz_view_open(&view, sharing, object);

		if (error == 0)
			error = lz_plan_object(sharing, object, &work->densities, &view);
		lz_view_close(&view);
		if (error == -ENOMEM)
			return lz_fail_memory();
		if (error != 0) {
			free(object->blocks);
			object->blocks = NULL;
			object->problem = "what it holds cannot be seen: it takes CAP_CHECKPOINT_RESTORE, or "
					  "Linux 6.7";
		}
		lz_plan_count(object, counts, &pages);
		work->planned += counts[LZ_BLOCK_DENSE];
	}
	return 0;
}

static int finish(const struct lz_collapse_work *work, bool complete)
{
	if (work->no_permission)
		lz_message(
			"collapsing memory of another process needs CAP_SYS_NICE: run this as root, or start "
			"the program under 'lazyzero run', which needs no right");
	if (work->signal != 0)
		return 128 + work->signal;
	return complete && !work->no_permission && work->failed == 0 && !work->no_huge_page ? 0 : 1;
}

static int examine_and_collapse(
	const struct lz_arguments *arguments, struct lz_collapse_work *work, bool complete)
{
	bool dry_run = arguments->values[FLAG_DRY_RUN] != NULL, json = arguments->values[FLAG_JSON] != NULL;
	int status = plan(work);

	if (status != 0)
		return status;
	if (!json && work->sharing->object_count == 0)
		puts("None of these processes maps large shared memory in small pages.");
	else if (!json)
		lz_collapse_print_plan(work->sharing);
	fflush(stdout);
	if (!dry_run && work->planned > 0)
		status = lz_collapse_work(work);
	if (status != 0)
		return status;
	if (json)
		status = lz_collapse_print_json(work, dry_run);
	else if (work->sharing->object_count > 0)
		lz_collapse_print_result(work, dry_run);
	return status != 0 ? status : finish(work, complete);
}

static int run(const struct lz_arguments *arguments)
{
	struct lz_sharing sharing;
	struct lz_collapse_work work = {.sharing = &sharing,
		.densities = {50, 100},
		.rate = 50,
		.progress = isatty(STDERR_FILENO) == 1 && arguments->values[FLAG_DRY_RUN] == NULL};
	bool complete = true;
	int status;

	if (parse_percent(arguments, FLAG_MIN_DENSITY, &work.densities.memory) ||
		parse_percent(arguments, FLAG_FILE_DENSITY, &work.densities.files) ||
		parse_percent(arguments, FLAG_RATE, &work.rate))
		return LZ_EXIT_FAILURE;
	if (!lz_fact_holds(&lz_os_linux, LZ_FACT_COLLAPSE))
		return lz_fail("this kernel has no MADV_COLLAPSE (Linux 6.1, with transparent huge pages)");
	if (lz_sharing_init(&sharing) != 0)
		return LZ_EXIT_FAILURE;
	raise_descriptor_limit();
	status = choose_processes(arguments, &sharing, &complete);
	if (status == 0 && sharing.sharer_count == 0 && !complete)
		status = 1;
	else if (status == 0)
		status = examine_and_collapse(arguments, &work, complete);
	lz_sharing_free(&sharing);
	return status;
}

const struct lz_command lz_command_collapse = {
	.name = "collapse",
	.summary = "turn shared memory of running processes into huge pages",
	.usage = "[OPTION]... [PID]...",
	.description =
		"Finds the large shared memory of processes, preloaded or not: shared anonymous memory, "
		"System V segments, memfds and files on tmpfs. Says of each how many of its blocks (2 MiB on "
		"x86-64) are filled, and collapses those into huge pages, which frees the page tables of "
		"every process that maps them. Prints the sum of the page tables of these processes before "
		"and after. It takes PIDs, --tree or --cgroup, and needs CAP_SYS_NICE.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = INT32_MAX,
	.run = run,
};
