/*
 * `lazyzero stat`: shows the page tables of processes, now and if every mapped page were touched, and the
 * mappings that need most of them. Works for any process; for preloaded ones it shows the library's counters
 * as well.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/common/arguments.h"
#include "cli/common/array.h"
#include "cli/common/commands.h"
#include "cli/common/geometry_choice.h"
#include "cli/common/messages.h"
#include "cli/process/stats_file.h"
#include "cli/stat/print.h"

enum {
	FLAG_ALL,
	FLAG_OUTPUT,
	FLAG_SORT,
	FLAG_REVERSE,
	FLAG_UNITS,
	FLAG_BYTES,
	FLAG_NO_HEADERS,
	FLAG_JSON,
	FLAG_SYSROOT,
	FLAG_GEOMETRY,
	FLAG_STATS
};

static const char *const units[] = {"auto", "B", "K", "M", "G", NULL};

static const struct lz_flag flags[] = {
	[FLAG_ALL] = {.name = "all",
		.letter = 'a',
		.help = "Show all processes. This is the default without a PID."},
	[FLAG_OUTPUT] = {.name = "output",
		.letter = 'o',
		.value = "COLUMNS",
		.help = "The columns to show, in this order, separated by commas. "
			"Default: " LZ_DEFAULT_COLUMNS "; with --json all of them.",
		.accepts = "names of columns, separated by commas"},
	[FLAG_SORT] = {.name = "sort",
		.value = "COLUMN",
		.help = "The column to sort by: numbers in descending order, texts and process IDs in "
			"ascending "
			"order. Default: tables",
		.accepts = "the name of a column"},
	[FLAG_REVERSE] = {.name = "reverse", .letter = 'r', .help = "Reverse the order."},
	[FLAG_UNITS] = {.name = "units",
		.value = "auto|B|K|M|G",
		.help = "The unit of sizes: one that fits each value, or bytes, KiB, MiB or GiB, rounded up. "
			"Default: auto",
		.choices = units,
		.accepts = "auto, B, K, M or G"},
	[FLAG_BYTES] = {.name = "bytes", .letter = 'b', .help = "The same as --units=B."},
	[FLAG_NO_HEADERS] = {.name = "no-headers",
		.letter = 'n',
		.help = "Do not print the totals of the machine and the column headers."},
	[FLAG_JSON] = {.name = "json", .help = "Print a JSON object, sizes in bytes."},
	[FLAG_SYSROOT] = {.name = "sysroot",
		.value = "DIRECTORY",
		.help = "Read a recorded tree: DIRECTORY/proc in place of /proc.",
		.accepts = "a directory"},
	[FLAG_GEOMETRY] = {.name = "geometry",
		.value = "NAME",
		.help = "The page-table geometry of the recorded machine, by its name in 'lazyzero cost "
			"--list'. Default: this machine's.",
		.accepts = "a name shown by 'lazyzero cost --list'"},
	[FLAG_STATS] = {.name = "stats",
		.value = "PATH",
		.help = "Show the statistics files in PATH (LAZYZERO_STATS), including those of processes "
			"that "
			"are gone.",
		.accepts = "a directory or a file"},
};

static const char library_columns[] = "pid,budget,committed,peak,regions,served,over,refused,name";

/* Processes whose mappings or PSS could not be read: how many, and the first of them. */
struct unreadable {
	size_t count;
	struct lz_process first;
	int error;
};

/* What to read, and the processes read so far. */
struct query {
	const char *root;
	const struct lz_geometry *geometry;
	const struct lz_column *sort;
	bool reverse;
	unsigned read_flags;
	struct unreadable unreadable;
	struct lz_stat_output stat;
};

static struct query query; /* static, since qsort passes no context */

static int compare(const void *a, const void *b)
{
	return lz_column_compare_rows(query.sort, query.reverse, a, b);
}

static void add_process(const struct lz_process *process)
{
	int error = process->maps_error != 0 ? process->maps_error : process->pss_error;

	if (error != 0 && query.unreadable.count++ == 0) {
		query.unreadable.first = *process;
		query.unreadable.error = error;
	}
	query.stat.processes[query.stat.count++] = *process;
}

/*
 * Adds a process that was requested by its pid. Returns false after an error message if it cannot be shown.
 */
static bool add_named(const char *word, pid_t pid)
{
	struct lz_process process;
	int error = lz_process_read(query.root, query.geometry, pid, query.read_flags, &process);

	if (error == -ESRCH)
		lz_message("%s: no such process%s", word,
			lz_process_hidepid(query.root) ? ", or hidden by /proc, which is mounted with hidepid"
						       : "");
	else if (error)
		lz_message("%s: cannot be read: %s", word, strerror(-error));
	else if (!lz_process_has_memory(&process))
		lz_message("%s (%s): has no memory of its own: it is a kernel thread or has ended", word,
			lz_printable(process.name).text);
	else
		add_process(&process);
	return error == 0 && lz_process_has_memory(&process);
}

static int read_named(const struct lz_arguments *arguments)
{
	int status = 0;

	for (int i = 0; i < arguments->operand_count; i++) {
		const char *word = arguments->operands[i];
		uint64_t pid;

		if (lz_parse_u64(word, &pid) != 0 || pid == 0 || pid > INT32_MAX)
			return lz_fail_usage("stat", "\"%s\" is not a process ID: it takes a number",
				lz_printable(word).text);
		if (!add_named(word, (pid_t)pid))
			status = 1;
	}
	return status;
}

static int read_all(void)
{
	pid_t *pids;
	size_t count;
	int error = lz_process_list(query.root, &pids, &count);

	if (error)
		return lz_fail("cannot read %s/proc: %s", lz_printable(query.root).text, strerror(-error));
	query.stat.processes = calloc(count + 1, sizeof *query.stat.processes);
	if (query.stat.processes == NULL) {
		free(pids);
		return lz_fail_memory();
	}
	for (size_t i = 0; i < count; i++) {
		struct lz_process process;

		/* Processes that have ended meanwhile are skipped. */
		if (lz_process_read(query.root, query.geometry, pids[i], query.read_flags, &process) == 0 &&
			lz_process_has_memory(&process))
			add_process(&process);
	}
	free(pids);
	if (lz_process_hidepid(query.root) && geteuid() != 0)
		lz_message("/proc is mounted with hidepid: processes of other users are not shown");
	return 0;
}

/* Adds the owner of a statistics file as a process of which nothing else is known. */
static void add_stats_file(void *context, const char *name, const struct lz_wire *wire, const char *error)
{
	static const char *const ends[] = {
		[LZ_STATS_OWNER_EXITED] = " (exited)", [LZ_STATS_OWNER_DEAD] = " (gone)"};
	struct lz_process *larger, *process;
	enum lz_stats_owner life;

	(void)context;
	if (error != NULL) {
		lz_message("%s: %s", lz_printable(name).text, error);
		return;
	}
	larger = lz_array_grow(query.stat.processes, query.stat.count, sizeof *larger);
	if (larger == NULL)
		return;
	query.stat.processes = larger;
	process = &larger[query.stat.count++];
	life = lz_stats_owner(wire);
	lz_process_init(process, (pid_t)wire->pid);
	process->mappings.wire = *wire;
	process->mappings.preloaded = true;
	snprintf(process->name, sizeof process->name, "%.48s%s", wire->executable,
		life == LZ_STATS_OWNER_ALIVE ? "" : ends[life]);
}

static int read_files(const char *path)
{
	int error = lz_stats_file_each(path, false, add_stats_file, NULL);

	return error == 0 ? 0 : lz_fail_read(path, -error);
}

static void report_unreadable(void)
{
	const struct unreadable *unreadable = &query.unreadable;
	char more[64] = "";

	if (unreadable->count == 0)
		return;
	if (unreadable->count > 1)
		snprintf(more, sizeof more, "; the same for %zu more processes", unreadable->count - 1);
	lz_message("cannot read the %s of %" PRIu64 " (%s, user %s): %s%s%s",
		unreadable->first.maps_error != 0 ? "mappings" : "PSS", unreadable->first.pid,
		lz_printable(unreadable->first.name).text, lz_column_user(unreadable->first.uid).text,
		strerror(-unreadable->error), more, geteuid() != 0 ? "; run as root to see them" : "");
}

static int choose_columns(const struct lz_arguments *arguments)
{
	struct lz_columns *columns = &query.stat.columns;
	const char *sort = arguments->values[FLAG_SORT];
	const char *output = arguments->values[FLAG_OUTPUT];
	bool of_files = arguments->values[FLAG_STATS] != NULL;
	const char *default_columns = of_files ? library_columns : LZ_DEFAULT_COLUMNS;

	query.sort = lz_column_find(sort != NULL ? sort : of_files ? "committed" : "tables");
	if (query.sort == NULL)
		return -EINVAL;
	if (output == NULL && arguments->values[FLAG_JSON] != NULL) {
		columns->count = lz_column_count;
		for (size_t i = 0; i < lz_column_count; i++)
			columns->column[i] = &lz_column_table[i];
	} else if (lz_columns_parse(columns, output != NULL ? output : default_columns) != 0) {
		return -EINVAL;
	}
	query.read_flags = lz_columns_read_flags(columns, query.sort);
	return 0;
}

static int run(const struct lz_arguments *arguments)
{
	bool named = arguments->operand_count > 0;
	const char *stats = arguments->values[FLAG_STATS];
	int status;

	if (named && arguments->values[FLAG_ALL] != NULL)
		return lz_fail_usage("stat", "--all takes no process ID");
	if (named && stats != NULL)
		return lz_fail_usage("stat", "--stats takes no process ID");
	query.root = arguments->values[FLAG_SYSROOT] != NULL ? arguments->values[FLAG_SYSROOT] : "";
	if (*query.root == '\0' && stats == NULL && access("/proc/self/stat", R_OK) != 0)
		return lz_fail("cannot read /proc/self/stat: %s; is /proc mounted?", strerror(errno));
	query.geometry = lz_geometry_choose(arguments->values[FLAG_GEOMETRY]);
	query.reverse = arguments->values[FLAG_REVERSE] != NULL;
	query.stat.units = arguments->values[FLAG_BYTES] != NULL ? LZ_UNITS_B
								 : lz_arguments_choice(arguments, FLAG_UNITS);
	query.stat.headers = arguments->values[FLAG_NO_HEADERS] == NULL;
	query.stat.details = named;
	if (query.geometry == NULL || choose_columns(arguments) != 0)
		return LZ_EXIT_FAILURE;
	if (named) {
		query.read_flags |= LZ_READ_MAPS;
		query.stat.processes = calloc((size_t)arguments->operand_count, sizeof *query.stat.processes);
		if (query.stat.processes == NULL)
			return lz_fail_memory();
	}
	status = named ? read_named(arguments) : stats != NULL ? read_files(stats) : read_all();
	if (status != LZ_EXIT_FAILURE) {
		lz_machine_read(query.root, &query.stat.machine);
		qsort(query.stat.processes, query.stat.count, sizeof *query.stat.processes, compare);
		report_unreadable();
		if (arguments->values[FLAG_JSON] != NULL)
			status |= lz_stat_print_json(&query.stat);
		else if (query.stat.count > 0)
			lz_stat_print(&query.stat);
	}
	free(query.stat.processes);
	return status;
}

const struct lz_command lz_command_stat = {
	.name = "stat",
	.summary = "show the page tables of processes",
	.usage = "[OPTION]... [PID]...",
	.description =
		"Shows for each process, preloaded or not, its address space, resident memory, page tables, "
		"and the page tables it would have if every mapped page were touched. For the PIDs given it "
		"also shows the mappings that need most of them, and the counters of the library.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.operands_max = INT32_MAX,
	.more_help = lz_columns_help,
	.run = run,
};
