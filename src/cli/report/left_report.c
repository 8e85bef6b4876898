/* Makes a report from a table of call sites; see left_report.h. */
#include "cli/report/left_report.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/common/messages.h"
#include "cli/process/proc_stat.h"
#include "cli/report/look.h"
#include "pagetables/geometry.h"
#include "sites/report_lines.h"

static void terminate(char *text, size_t capacity)
{
	text[capacity - 1] = '\0';
}

/* Makes a copy of a table safe to use, whatever the file contains. */
static void sanitize(struct lz_site_table *table)
{
	terminate(table->identity.geometry, sizeof table->identity.geometry);
	terminate(table->identity.executable, sizeof table->identity.executable);
	for (unsigned i = 0; i < LZ_MODULES; i++) {
		struct lz_site_module *module = &table->modules.entry[i];

		terminate(module->module.path, sizeof module->module.path);
		module->build_id_length = (uint8_t)lz_min_u64(module->build_id_length, LZ_BUILD_ID_MAX);
	}
	for (unsigned i = 0; i < LZ_PYTHON_PLACES; i++) {
		terminate(table->places.place[i].file, sizeof table->places.place[i].file);
		terminate(table->places.place[i].function, sizeof table->places.place[i].function);
	}
	for (unsigned i = 0; i < LZ_SITES; i++) {
		struct lz_site *site = &table->site[i];

		terminate(site->call, sizeof site->call);
		site->frames = (uint32_t)lz_min_u64(site->frames, LZ_STACK_FRAMES);
		site->python_frames = (uint32_t)lz_min_u64(site->python_frames, LZ_PYTHON_FRAMES);
		site->cells.count = (uint8_t)lz_min_u64(site->cells.count, LZ_CENSUS_CELLS);
		for (unsigned cell = 0; cell < LZ_CENSUS_CELLS; cell++) {
			site->cells.written[cell] = (uint8_t)lz_min_u64(site->cells.written[cell], 9);
			site->cells.zero[cell] = (uint8_t)lz_min_u64(site->cells.zero[cell], 9);
		}
	}
}

/* Whether the process maps the file: after an exec it does not. */
static bool maps_file(uint64_t pid, const char *path)
{
	char maps[PATH_MAX], real[PATH_MAX];
	char *line = NULL;
	size_t capacity = 0;
	bool found = false;
	FILE *stream;

	lz_proc_path(maps, "", (pid_t)pid, "maps");
	stream = fopen(maps, "re");
	if (stream == NULL || realpath(path, real) == NULL)
		real[0] = '\0';
	while (stream != NULL && *real != '\0' && !found && getline(&line, &capacity, stream) > 0)
		found = strstr(line, real) != NULL;
	free(line);
	if (stream != NULL)
		fclose(stream);
	return found;
}

const char *lz_left_report_reason(const struct lz_site_table *table, const char *path)
{
	const struct lz_sites_identity *identity = &table->identity;

	if (lz_process_start_time("", (pid_t)identity->pid) != identity->start_time)
		return "killed";
	return maps_file(identity->pid, path) ? "running" : "exec";
}

/* Writes the line of a live region, as it was last seen. */
static void write_region(
	struct lz_report_writer *writer, const struct lz_listed_region *region, bool has_line)
{
	const struct lz_look *look = lz_look_find(&writer->table->identity, region->base, region->length);
	const struct lz_geometry *geometry = lz_geometry_by_name(writer->table->identity.geometry);
	static const struct lz_cell_map no_cells;
	struct lz_site_usage unknown = {.regions = 1,
		.bytes = region->length,
		.unknown_bytes = region->length,
		.full_tables = geometry != NULL
				       ? lz_census_proportional_table_bytes(geometry, region->length, 0)
				       : 0,
		.on_window = region->on_window};
	const struct lz_site_usage *usage = look != NULL ? &look->usage : &unknown;

	lz_site_usage_add(&writer->live_usage[region->site], usage);
	if (has_line)
		lz_report_write_region(
			writer, region->base, region->site, usage, look != NULL ? &look->cells : &no_cells);
}

#define REGION_LINES_MAX 2048u

static void write_lines(struct lz_report_writer *writer, const char *reason)
{
	const struct lz_site_table *table = writer->table;
	uint64_t alive = 0;
	unsigned lines = 0;

	for (unsigned i = 0; i < LZ_SITES_LISTED; i++)
		alive += table->live[i].base != 0 && table->live[i].length != 0;
	/* The regions of a program that executed another are gone. */
	if (strcmp(reason, "exec") == 0)
		alive = 0;
	lz_report_write_header(writer, reason, alive, 0);
	lz_report_write_modules(writer);
	for (unsigned i = 0; alive > 0 && i < LZ_SITES_LISTED; i++)
		if (table->live[i].base != 0 && table->live[i].length != 0 && table->live[i].site < LZ_SITES)
			write_region(writer, &table->live[i], lines++ < REGION_LINES_MAX);
	lz_report_write_sites(writer);
	lz_report_write_end(writer);
}

FILE *lz_left_report_open(const struct lz_site_table *table, const char *reason)
{
	struct lz_site_table *copy = malloc(sizeof *copy);
	struct lz_report_writer *writer = calloc(1, sizeof *writer);
	int fd = memfd_create("report", MFD_CLOEXEC);
	FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;

	if (stream == NULL && fd >= 0)
		close(fd);
	if (copy != NULL && writer != NULL && stream != NULL) {
		if (strcmp(reason, "running") == 0)
			lz_look_at_table(table);
		memcpy(copy, table, sizeof *copy);
		sanitize(copy);
		writer->os = &lz_os_linux;
		writer->table = copy;
		writer->fd = fd;
		write_lines(writer, reason);
		if (writer->error == 0 && lseek(fd, 0, SEEK_SET) == 0) {
			free(copy);
			free(writer);
			return stream;
		}
	}
	lz_fail_memory();
	free(copy);
	free(writer);
	if (stream != NULL)
		fclose(stream);
	return NULL;
}
