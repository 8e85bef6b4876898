/* Samples a tree of processes; see tree.h. */
#include "cli/process/tree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/parse.h"
#include "cli/common/array.h"
#include "cli/common/clock.h"

/* Samples with PSS take at most one part in PSS_SHARE of the time, all samples one part in SAMPLE_SHARE. */
#define PSS_SHARE 20u
#define SAMPLE_SHARE 10u

static void add_member(struct lz_process_tree *tree, pid_t pid)
{
	struct lz_process_tree_member *members;
	uint64_t start_time;

	/* A later process with the pid of a member is added by the next sample: this one drops the member. */
	for (size_t i = 0; i < tree->count; i++)
		if (tree->members[i].pid == pid)
			return;
	start_time = lz_process_start_time("", pid);
	if (start_time == 0)
		return;
	members = lz_array_grow(tree->members, tree->count, sizeof *members);
	if (members == NULL)
		return;
	tree->members = members;
	tree->members[tree->count++] = (struct lz_process_tree_member){pid, start_time, LZ_UNKNOWN, 0};
}

void lz_process_tree_init(struct lz_process_tree *tree, pid_t root)
{
	*tree = (struct lz_process_tree){.members = NULL};
	add_member(tree, root);
}

void lz_process_tree_free(struct lz_process_tree *tree)
{
	free(tree->members);
	*tree = (struct lz_process_tree){.members = NULL};
}

/* Adds the pids in a `children` file ("12 34 "), which is one line of any length. */
static void add_listed(struct lz_process_tree *tree, const char *path)
{
	FILE *file = fopen(path, "re");
	char *word = NULL;
	size_t capacity = 0;

	while (file != NULL && getdelim(&word, &capacity, ' ', file) > 0) {
		const char *cursor = word;
		uint64_t pid;

		if (lz_scan_u64(&cursor, &pid) == 0 && pid <= INT32_MAX)
			add_member(tree, (pid_t)pid);
	}
	free(word);
	if (file != NULL)
		fclose(file);
}

/* The kernel lists a child under the thread that created it. */
static void add_children(struct lz_process_tree *tree, pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
	threads = opendir(path);
	while (threads != NULL && (entry = readdir(threads)) != NULL) {
		uint64_t thread;

		if (lz_parse_u64(entry->d_name, &thread) != 0)
			continue;
		snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid, (long)thread);
		add_listed(tree, path);
	}
	if (threads != NULL)
		closedir(threads);
}

static void add(uint64_t *sum, uint64_t value)
{
	if (value != LZ_UNKNOWN)
		*sum += value;
}

static void add_to_totals(struct lz_process_tree_totals *sum, const struct lz_process *process)
{
	sum->processes++;
	add(&sum->virtual, process->virtual);
	add(&sum->rss, process->rss);
	add(&sum->pss, process->pss);
	add(&sum->tables, process->tables);
	add(&sum->minor_faults, process->stat.minor_faults);
	add(&sum->major_faults, process->stat.major_faults);
}

/*
 * Stores PSS if it was read. Otherwise estimates it: the last PSS, plus the change of private RSS since then.
 */
static void estimate_pss(struct lz_process_tree_member *member, struct lz_process *process)
{
	uint64_t private_rss = lz_sub_clamped(process->rss, process->rss_shmem);

	if (process->pss != LZ_UNKNOWN) {
		member->pss = process->pss;
		member->pss_rss = private_rss;
	} else if (member->pss != LZ_UNKNOWN) {
		process->pss = lz_sub_clamped(member->pss + private_rss, member->pss_rss);
	}
}

static bool sample_member(
	struct lz_process_tree_member *member, unsigned read_flags, struct lz_process *process)
{
	if (lz_process_read("", NULL, member->pid, read_flags, process) != 0 ||
		process->stat.start_time != member->start_time || !lz_process_has_memory(process))
		return false;
	estimate_pss(member, process);
	return true;
}

bool lz_process_tree_sample(struct lz_process_tree *tree, struct lz_process_tree_totals *sum,
	lz_process_tree_visit *visit, void *context)
{
	uint64_t started = lz_monotonic_ns(), ended;
	bool with_pss = !tree->without_pss && started >= tree->next_pss_ns;
	size_t alive = 0;

	*sum = (struct lz_process_tree_totals){.processes = 0};
	/* New children are appended, so the loop reaches them as well. */
	for (size_t i = 0; i < tree->count; i++)
		add_children(tree, tree->members[i].pid);
	for (size_t i = 0; i < tree->count; i++) {
		bool first = !tree->without_pss && tree->members[i].pss == LZ_UNKNOWN;
		struct lz_process process;

		if (!sample_member(&tree->members[i], with_pss || first ? LZ_READ_PSS : 0, &process))
			continue;
		add_to_totals(sum, &process);
		if (visit != NULL)
			visit(context, &process);
		tree->members[alive++] = tree->members[i];
	}
	tree->count = alive;
	ended = lz_monotonic_ns();
	tree->next_sample_ns = ended + (ended - started) * SAMPLE_SHARE;
	if (with_pss)
		tree->next_pss_ns = ended + (ended - started) * PSS_SHARE;
	return alive > 0;
}

bool lz_process_tree_sample_due(const struct lz_process_tree *tree)
{
	return lz_monotonic_ns() >= tree->next_sample_ns;
}
