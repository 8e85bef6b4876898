/* Builds the rows; see rows.h. */
#include "cli/top/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_INDEX SIZE_MAX

/* Links of the tree; indices of top->processes. */
struct node {
	size_t first_child, next_sibling, parent;
	uint64_t descendants;
	bool shown; /* it or one of its descendants matches the filter */
};

static const struct lz_top *ordering; /* for compare_rows, since qsort passes no context */

static int compare_rows(const void *a, const void *b)
{
	const struct lz_top_row *left = a, *right = b;

	return lz_column_compare_rows(ordering->sort, ordering->reverse, left->process, right->process);
}

static bool is_toggled(const struct lz_top *top, uint64_t pid)
{
	for (size_t i = 0; i < top->toggled_count; i++)
		if (top->toggled[i] == pid)
			return true;
	return false;
}

void lz_top_toggle_fold(struct lz_top *top)
{
	uint64_t pid = top->rows[top->selected].process->pid;
	uint64_t *larger;

	for (size_t i = 0; i < top->toggled_count; i++)
		if (top->toggled[i] == pid) {
			top->toggled[i] = top->toggled[--top->toggled_count];
			return;
		}
	larger = realloc(top->toggled, (top->toggled_count + 1) * sizeof *larger);
	if (larger == NULL)
		return;
	top->toggled = larger;
	top->toggled[top->toggled_count++] = pid;
}

static size_t find_pid(const struct lz_top *top, uint64_t pid)
{
	size_t low = 0, high = top->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (top->processes[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < top->count && top->processes[low].pid == pid ? low : NO_INDEX;
}

/* The number of the processes, and of the control groups that follow them in top->sums. */
static size_t count_nodes(const struct lz_top *top)
{
	return top->count + (top->arrangement == LZ_TOP_CGROUPS ? top->cgroup_count : 0);
}

static size_t find_parent(const struct lz_top *top, size_t i)
{
	if (top->arrangement == LZ_TOP_TREE)
		return find_pid(top, top->processes[i].parent);
	return top->cgroup_of[i] == NO_INDEX ? NO_INDEX : top->count + top->cgroup_of[i];
}

static void link_children(const struct lz_top *top, struct node *nodes)
{
	for (size_t i = 0; i < count_nodes(top); i++)
		nodes[i] = (struct node){.first_child = NO_INDEX,
			.next_sibling = NO_INDEX,
			.parent = i < top->count ? find_parent(top, i) : NO_INDEX};
	for (size_t i = 0; i < top->count; i++) {
		size_t parent = nodes[i].parent;

		if (parent == NO_INDEX || parent == i)
			continue;
		nodes[i].next_sibling = nodes[parent].first_child;
		nodes[parent].first_child = i;
	}
}

static void add(uint64_t *sum, uint64_t value)
{
	if (value != LZ_UNKNOWN)
		*sum = *sum == LZ_UNKNOWN ? value : *sum + value;
}

static void add_process(struct lz_process *sum, const struct lz_process *process)
{
	add(&sum->threads, process->threads);
	add(&sum->stat.minor_faults, process->stat.minor_faults);
	add(&sum->stat.major_faults, process->stat.major_faults);
	add(&sum->virtual, process->virtual);
	add(&sum->rss, process->rss);
	add(&sum->rss_shmem, process->rss_shmem);
	add(&sum->pss, process->pss);
	add(&sum->swap, process->swap);
	add(&sum->tables, process->tables);
	add(&sum->mappings.tables_if_touched, process->mappings.tables_if_touched);
	add(&sum->mappings.count, process->mappings.count);
	lz_process_set_ratio(sum);
}

/* Adds every process to the sums of all its ancestors. Trees of processes are not deep. */
static void add_to_ancestors(struct lz_top *top, struct node *nodes)
{
	for (size_t i = 0; i < top->count; i++) {
		size_t at = nodes[i].parent;

		/* The parents in a recorded tree may form a cycle. */
		for (size_t steps = 0; at != NO_INDEX && at != i && steps < top->count; steps++) {
			add_process(&top->sums[at], &top->processes[i]);
			nodes[at].descendants++;
			at = nodes[at].parent == at ? NO_INDEX : nodes[at].parent;
		}
	}
}

/* In the view of control groups, the path of the group counts as well. */
static bool matches(const struct lz_top *top, size_t i)
{
	const struct lz_process *process = &top->processes[i];
	char pid[24];

	if (top->filter[0] == '\0')
		return true;
	snprintf(pid, sizeof pid, "%" PRIu64, process->pid);
	return strcasestr(process->name, top->filter) != NULL || strcmp(pid, top->filter) == 0 ||
	       strcasestr(lz_column_user(process->uid).text, top->filter) != NULL ||
	       (top->arrangement == LZ_TOP_CGROUPS && top->cgroup_of[i] != NO_INDEX &&
		       strcasestr(top->cgroups[top->cgroup_of[i]], top->filter) != NULL);
}

/* Shows the processes that match, below all of their ancestors. */
static void show_matching(const struct lz_top *top, struct node *nodes)
{
	for (size_t i = 0; i < top->count; i++)
		if (matches(top, i))
			for (size_t at = i; at != NO_INDEX && !nodes[at].shown; at = nodes[at].parent)
				nodes[at].shown = true;
}

static struct lz_top_row make_row(
	const struct lz_top *top, const struct node *nodes, size_t i, unsigned depth)
{
	struct lz_top_row row = {
		.process = &top->sums[i], .depth = depth, .descendants = nodes[i].descendants};
	bool toggled = is_toggled(top, row.process->pid);

	if (i >= top->count)
		row.cgroup = top->cgroups[i - top->count];
	row.folded = row.descendants > 0 && toggled == (row.cgroup == NULL);
	return row;
}

/* Appends a list of siblings in order, each followed by its descendants. */
static void append_rows(
	struct lz_top *top, const struct node *nodes, size_t first, unsigned depth, uint32_t has_next)
{
	struct lz_top_row *siblings;
	size_t count = 0;

	for (size_t i = first; i != NO_INDEX; i = nodes[i].next_sibling)
		count++;
	siblings = calloc(count + 1, sizeof *siblings);
	if (siblings == NULL)
		return;
	count = 0;
	for (size_t i = first; i != NO_INDEX; i = nodes[i].next_sibling)
		if (nodes[i].shown)
			siblings[count++] = make_row(top, nodes, i, depth);
	qsort(siblings, count, sizeof *siblings, compare_rows);
	for (size_t i = 0; i < count && top->row_count < count_nodes(top); i++) {
		size_t node = (size_t)(siblings[i].process - top->sums);

		siblings[i].has_next = has_next;
		if (i + 1 < count && depth < LZ_TOP_DEPTH_MAX)
			siblings[i].has_next |= UINT32_C(1) << depth;
		top->rows[top->row_count++] = siblings[i];
		if (!siblings[i].folded)
			append_rows(top, nodes, nodes[node].first_child, depth + 1, siblings[i].has_next);
	}
	free(siblings);
}

/* A control group as a process without memory of its own, to which that of its processes is added. */
static struct lz_process cgroup_row(const struct lz_top *top, size_t number)
{
	struct lz_process process;

	lz_process_init(&process, 0);
	process.pid = LZ_TOP_CGROUP_ID + number;
	snprintf(process.name, sizeof process.name, "%s", top->cgroups[number]);
	return process;
}

static int order_tree(struct lz_top *top)
{
	size_t count = count_nodes(top);
	struct node *nodes = calloc(count + 1, sizeof *nodes);
	struct lz_process *sums = calloc(count + 1, sizeof *sums);
	size_t roots = NO_INDEX;

	if (nodes == NULL || sums == NULL) {
		free(nodes);
		free(sums);
		return -ENOMEM;
	}
	free(top->sums);
	top->sums = sums;
	if (top->count > 0)
		memcpy(sums, top->processes, top->count * sizeof *sums);
	for (size_t i = top->count; i < count; i++)
		sums[i] = cgroup_row(top, i - top->count);
	link_children(top, nodes);
	add_to_ancestors(top, nodes);
	show_matching(top, nodes);
	for (size_t i = count; i-- > 0;)
		if ((nodes[i].parent == NO_INDEX || nodes[i].parent == i) &&
			(i < top->count || nodes[i].descendants > 0)) {
			nodes[i].next_sibling = roots;
			roots = i;
		}
	append_rows(top, nodes, roots, 0, 0);
	free(nodes);
	return 0;
}

int lz_top_sort_rows(struct lz_top *top)
{
	struct lz_top_row *rows = calloc(count_nodes(top) + 1, sizeof *rows);
	int error = 0;

	if (rows == NULL)
		return -ENOMEM;
	free(top->rows);
	top->rows = rows;
	top->row_count = 0;
	ordering = top;
	top->matching = (struct lz_table_totals){.processes = 0};
	for (size_t i = 0; i < top->count && top->filter[0] != '\0'; i++)
		if (matches(top, i))
			lz_table_totals_add(&top->matching, &top->processes[i]);
	if (top->arrangement != LZ_TOP_LIST) {
		error = order_tree(top);
	} else {
		for (size_t i = 0; i < top->count; i++)
			if (matches(top, i))
				rows[top->row_count++] = (struct lz_top_row){.process = &top->processes[i]};
		qsort(rows, top->row_count, sizeof *rows, compare_rows);
	}
	/* Select the row of the selected process again. A selected first row remains the first row. */
	for (size_t i = 0; i < top->row_count; i++)
		if (rows[i].process->pid == top->selected_pid)
			top->selected = i;
	if (top->selected >= top->row_count)
		top->selected = top->row_count > 0 ? top->row_count - 1 : 0;
	return error;
}
