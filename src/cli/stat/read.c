/* Reads the processes to show; see read.h. */
#include "cli/stat/read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/common/array.h"
#include "cli/common/messages.h"
#include "cli/process/stats_file.h"

static void add_process(struct lz_stat_query *query, const struct lz_process *process)
{
	lz_unreadable_add(&query->unreadable, process,
		process->maps_error != 0 ? process->maps_error : process->pss_error);
	lz_unreadable_add(&query->counters, process, process->mappings.wire_error);
	query->output.processes[query->output.count++] = *process;
	lz_table_totals_add(&query->output.totals, process);
}

/*
 * Adds a process that was requested by its pid. Returns false after an error message if it cannot be shown.
 */
static bool add_named(struct lz_stat_query *query, const char *word, pid_t pid)
{
	struct lz_process process;
	int error = lz_process_read(query->root, query->geometry, pid, query->read_flags, &process);

	if (error == -ESRCH)
		lz_message("%s: no such process%s", word,
			lz_process_hidepid(query->root)
				? ", or hidden by /proc, which is mounted with hidepid"
				: "");
	else if (error)
		lz_message("%s: cannot be read: %s", word, strerror(-error));
	else if (!lz_process_has_memory(&process))
		lz_message("%s (%s): has no memory of its own: it is a kernel thread or has ended", word,
			lz_printable(process.name).text);
	else
		add_process(query, &process);
	return error == 0 && lz_process_has_memory(&process);
}

int lz_stat_read_named(struct lz_stat_query *query, const struct lz_arguments *arguments)
{
	int status = 0;

	query->output.processes =
		calloc((size_t)arguments->operand_count + 1, sizeof *query->output.processes);
	if (query->output.processes == NULL)
		return lz_fail_memory();
	for (int i = 0; i < arguments->operand_count; i++) {
		const char *word = arguments->operands[i];
		uint64_t pid;

		if (lz_parse_u64(word, &pid) != 0 || pid == 0 || pid > INT32_MAX)
			return lz_fail_usage("stat", "\"%s\" is not a process ID: it takes a number",
				lz_printable(word).text);
		if (!add_named(query, word, (pid_t)pid))
			status = 1;
	}
	return status;
}

void lz_stat_warn_of_hidden(const char *root)
{
	if (lz_process_hidepid(root) && geteuid() != 0)
		lz_message("/proc is mounted with hidepid: processes of other users are not shown");
}

int lz_stat_read_all(struct lz_stat_query *query)
{
	pid_t *pids;
	size_t count;
	int error = lz_process_list(query->root, &pids, &count);

	if (error)
		return lz_fail("cannot read %s/proc: %s", lz_printable(query->root).text, strerror(-error));
	query->output.processes = calloc(count + 1, sizeof *query->output.processes);
	if (query->output.processes == NULL) {
		free(pids);
		return lz_fail_memory();
	}
	for (size_t i = 0; i < count; i++) {
		struct lz_process process;

		/* Processes that have ended meanwhile are skipped. */
		if (lz_process_read(query->root, query->geometry, pids[i], query->read_flags, &process) ==
				0 &&
			lz_process_has_memory(&process))
			add_process(query, &process);
	}
	free(pids);
	lz_stat_warn_of_hidden(query->root);
	return 0;
}

/* Adds the owner of a statistics file. */
static void add_stats_file(void *context, const char *name, const struct lz_wire *wire, const char *error)
{
	static const char *const ends[] = {
		[LZ_STATS_OWNER_EXITED] = " (exited)", [LZ_STATS_OWNER_DEAD] = " (gone)"};
	struct lz_stat_query *query = context;
	struct lz_process *larger, *process;
	enum lz_stats_owner life;

	if (error != NULL) {
		lz_message("%s: %s", lz_printable(name).text, error);
		return;
	}
	larger = lz_array_grow(query->output.processes, query->output.count, sizeof *larger);
	if (larger == NULL)
		return;
	query->output.processes = larger;
	process = &larger[query->output.count++];
	life = lz_stats_owner(wire);
	lz_process_of_stats_file(process, wire, life);
	snprintf(process->name, sizeof process->name, "%.48s%s", wire->executable,
		life == LZ_STATS_OWNER_ALIVE ? "" : ends[life]);
	lz_table_totals_add(&query->output.totals, process);
}

int lz_stat_read_files(struct lz_stat_query *query, const char *path)
{
	int error = lz_stats_file_each(path, false, add_stats_file, query);

	return error == 0 ? 0 : lz_fail_read(path, -error);
}

void lz_stat_report_unreadable(const struct lz_stat_query *query)
{
	const struct lz_unreadable *figures = &query->unreadable;

	lz_unreadable_report(figures, figures->first.maps_error != 0 ? "the mappings" : "the PSS");
	lz_unreadable_report_counters(&query->counters);
}
