/* Looks at regions from outside; see look.h. */
#include "cli/report/look.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli/common/array.h"
#include "cli/common/clock.h"
#include "cli/process/proc_stat.h"
#include "cli/report/sites_file.h"
#include "os/scratch.h"
#include "sites/inspect.h"

#define PROCESSOR_PERCENT 1u
#define FREE_NS UINT64_C(10000000) /* processor time that the first looks may take at once */
#define SAMPLE_PAGES 16u           /* pages of a region whose contents are read, 1 us each */

static struct {
	struct lz_look *looks;
	size_t count;
	uint64_t started_ns, used_ns;
	uint64_t inspections;
	double ended; /* 0: the program runs */
	pid_t pid;    /* whose memory is read */
} state;

static ssize_t read_other(const void *address, void *buffer, size_t length)
{
	struct iovec to = {buffer, length}, from = {(void *)address, length};

	return process_vm_readv(state.pid, &to, 1, &from, 1, 0);
}

static struct lz_look *find(const struct lz_sites_identity *identity, uint64_t base, uint64_t length)
{
	for (size_t i = 0; i < state.count; i++)
		if (state.looks[i].base == base && state.looks[i].length == length &&
			state.looks[i].pid == identity->pid &&
			state.looks[i].start_time == identity->start_time)
			return &state.looks[i];
	return NULL;
}

const struct lz_look *lz_look_find(const struct lz_sites_identity *identity, uint64_t base, uint64_t length)
{
	return find(identity, base, length);
}

static double now(void)
{
	return (double)lz_monotonic_ns() / (double)LZ_NS_PER_SECOND;
}

/* A region of a process that runs, and when it was last looked at. */
struct target {
	const struct lz_site_table *table;
	uint64_t base, length;
	enum lz_region_kind kind;
	double seen; /* 0: never */
};

static void look_at(const struct target *target, const struct lz_os *os, int pagemap)
{
	const struct lz_sites_identity *identity = &target->table->identity;
	const struct lz_inspected_process process = {
		.os = os, .geometry = lz_geometry_by_name(identity->geometry), .pagemap = pagemap};
	struct lz_look *look = find(identity, target->base, target->length);
	struct lz_inspection *seen = lz_inspect_region(&process, target->base, target->base + target->length,
		target->kind, SAMPLE_PAGES, state.inspections++);

	if (look == NULL) {
		struct lz_look *looks = lz_array_grow(state.looks, state.count, sizeof *looks);

		if (looks != NULL)
			state.looks = looks;
		look = looks != NULL ? &looks[state.count] : NULL;
	}
	/* A process that is ending has no pages any more: what was seen before is kept. */
	if (look != NULL && seen != NULL && seen->usage.unknown_bytes == 0 &&
		lz_process_start_time("", (pid_t)identity->pid) == identity->start_time) {
		state.count += look == &state.looks[state.count];
		*look = (struct lz_look){.pid = identity->pid,
			.start_time = identity->start_time,
			.base = target->base,
			.length = target->length,
			.time = now(),
			.usage = seen->usage,
			.cells = seen->cells};
	}
	if (seen != NULL)
		lz_scratch_release(os, seen);
}

/* --- which regions --- */

struct targets {
	struct target *target;
	size_t count;
};

static void collect(struct targets *targets, const struct lz_site_table *table)
{
	const struct lz_sites_identity *identity = &table->identity;
	const struct lz_geometry *geometry = lz_geometry_by_name(identity->geometry);

	if (geometry == NULL || lz_process_start_time("", (pid_t)identity->pid) != identity->start_time)
		return;
	for (unsigned i = 0; i < LZ_SITES_LISTED; i++) {
		const struct lz_listed_region *region = &table->live[i];
		struct target target = {.table = table,
			.base = region->base,
			.length = region->length,
			.kind = lz_region_kind_of(region)};
		uint64_t page = UINT64_C(1) << geometry->page_shift;
		const struct lz_look *look;
		struct target *grown;

		if (target.base == 0 || target.length == 0 || (target.base | target.length) % page != 0 ||
			target.base + target.length < target.base)
			continue;
		look = find(identity, target.base, target.length);
		target.seen = look != NULL ? look->time : 0;
		grown = lz_array_grow(targets->target, targets->count, sizeof *grown);
		if (grown == NULL)
			return;
		targets->target = grown;
		grown[targets->count++] = target;
	}
}

static int compare_seen(const void *a, const void *b)
{
	const struct target *first = a, *second = b;

	return (first->seen > second->seen) - (first->seen < second->seen);
}

static bool may_go_on(uint64_t turn_started_ns)
{
	uint64_t used = state.used_ns + (lz_thread_time_ns() - turn_started_ns);

	return used <= FREE_NS + (lz_monotonic_ns() - state.started_ns) / 100 * PROCESSOR_PERCENT;
}

static void look_at_targets(struct targets *targets, bool all, uint64_t turn_started_ns)
{
	struct lz_os os = lz_os_linux;
	pid_t pid = 0;
	int pagemap = -1;

	os.read_memory = read_other;
	qsort(targets->target, targets->count, sizeof *targets->target, compare_seen);
	for (size_t i = 0; i < targets->count && (all || may_go_on(turn_started_ns)); i++) {
		pid_t of = (pid_t)targets->target[i].table->identity.pid;
		char path[PATH_MAX];

		if (of != pid) {
			if (pagemap >= 0)
				close(pagemap);
			lz_proc_path(path, "", of, "pagemap");
			pagemap = open(path, O_RDONLY | O_CLOEXEC);
			pid = of;
		}
		state.pid = pid;
		if (pagemap >= 0)
			look_at(&targets->target[i], &os, pagemap);
	}
	if (pagemap >= 0)
		close(pagemap);
}

void lz_look_at_table(const struct lz_site_table *table)
{
	struct targets targets = {.count = 0};

	collect(&targets, table);
	look_at_targets(&targets, true, 0);
	free(targets.target);
}

void lz_look_at_report(const char *path, bool all)
{
	uint64_t turn_started_ns = lz_thread_time_ns();
	struct lz_sites_files files;
	struct targets targets = {.count = 0};

	if (state.started_ns == 0)
		state.started_ns = lz_monotonic_ns();
	if (!all && !may_go_on(turn_started_ns))
		return;
	lz_sites_files_map(&files, path);
	for (size_t i = 0; i < files.count; i++)
		if (files.table[i] != NULL)
			collect(&targets, files.table[i]);
	look_at_targets(&targets, all, turn_started_ns);
	free(targets.target);
	lz_sites_files_unmap(&files);
	state.used_ns += lz_thread_time_ns() - turn_started_ns;
}

void lz_look_end(void)
{
	state.ended = now();
}

double lz_look_age(uint64_t pid, uint64_t start_time)
{
	double oldest = -1, end = state.ended > 0 ? state.ended : now();

	for (size_t i = 0; i < state.count; i++)
		if (state.looks[i].pid == pid && state.looks[i].start_time == start_time &&
			end - state.looks[i].time > oldest)
			oldest = end - state.looks[i].time;
	return oldest;
}

void lz_look_forget(void)
{
	free(state.looks);
	state.looks = NULL;
	state.count = 0;
}
