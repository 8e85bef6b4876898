/* Reads the counts of the out-of-memory killer; see oom.h. */
#include "cli/launch/oom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/display.h"
#include "os/cgroup.h"
#include "os/cgroup_walk.h"

/* The number after `key` at the start of a line of the file; 0 if there is none. */
static uint64_t count_in(const char *path, const char *key)
{
	FILE *stream = fopen(path, "re");
	char line[128];
	uint64_t count = 0;

	while (stream != NULL && fgets(line, sizeof line, stream) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			count = strtoull(line + strlen(key), NULL, 10);
	if (stream != NULL)
		fclose(stream);
	return count;
}

static uint64_t machine_kills(void)
{
	return count_in("/proc/vmstat", "oom_kill ");
}

static uint64_t group_kills(const struct lz_oom_state *state)
{
	return state->events[0] != '\0' ? count_in(state->events, "oom_kill ") : 0;
}

/* Visits the process's own group first, and those above it. */
static uint64_t visit(struct lz_cgroup_walk *walk, struct lz_text *group)
{
	uint64_t limit = lz_cgroup_number(walk, group,
		walk->mount.hierarchy == LZ_CGROUP_V2 ? "/memory.max" : "/memory.limit_in_bytes");

	if (walk->usage_file[0] == '\0')
		snprintf(walk->usage_file, sizeof walk->usage_file, "%.480s%s", group->buffer,
			walk->mount.hierarchy == LZ_CGROUP_V2 ? "/memory.events" : "/memory.oom_control");
	return limit;
}

void lz_oom_watch(struct lz_oom_state *state, pid_t pid)
{
	struct lz_cgroup_walk *walk = lz_cgroup_walk_begin(&lz_os_linux, "");
	uint64_t limit;

	if (walk == NULL)
		return;
	walk->pid = pid;
	limit = lz_cgroup_walk_smallest(walk, visit);
	if (!walk->unreadable && (!state->known || strcmp(state->events, walk->usage_file) != 0)) {
		snprintf(state->events, sizeof state->events, "%s", walk->usage_file);
		state->group_kills = group_kills(state);
		state->machine_kills = machine_kills();
		state->known = true;
	}
	if (!walk->unreadable)
		state->limit = limit;
	lz_cgroup_walk_end(walk);
}

bool lz_oom_has_killed(const struct lz_oom_state *state)
{
	return state->known && (group_kills(state) > state->group_kills ||
				       (state->events[0] == '\0' && machine_kills() > state->machine_kills));
}

void lz_oom_describe(
	const struct lz_oom_state *state, uint64_t page_tables, double age, char *text, size_t capacity)
{
	bool by_group = state->limit < LZ_CGROUP_V1_UNLIMITED;
	char limit[300] = "";

	if (by_group)
		snprintf(limit, sizeof limit, "%s; ", lz_size_text(state->limit).text);
	snprintf(text, capacity,
		"killed by the out-of-memory killer of %s (%spage tables in the last sample, %.2g s before: "
		"%s)",
		by_group ? "its control group" : "the machine", limit, age, lz_size_text(page_tables).text);
}
