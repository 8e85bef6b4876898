/* Finds the tables that processes left; see left_tables.h. */
#include "cli/report/left_tables.h"

#include <stdlib.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/report/left_report.h"

int lz_left_tables_map(struct lz_left_tables *left, const char *path)
{
	lz_sites_files_map(&left->files, path);
	left->reason = calloc(left->files.count + 1, sizeof *left->reason);
	if (left->reason == NULL)
		return lz_fail_memory();
	for (size_t i = 0; i < left->files.count; i++)
		if (left->files.table[i] != NULL)
			left->reason[i] = lz_left_report_reason(left->files.table[i], left->files.path[i]);
		else
			lz_warning("'%s' is not of this version of lazyzero, or incomplete; it is left out",
				lz_printable(left->files.path[i]).text);
	return 0;
}

void lz_left_tables_unmap(struct lz_left_tables *left)
{
	lz_sites_files_unmap(&left->files);
	free(left->reason);
}

bool lz_left_tables_supersede(struct lz_left_tables *left, const struct lz_report_process *process)
{
	bool superseded = false;

	for (size_t i = 0; i < left->files.count; i++) {
		const struct lz_site_table *table = left->files.table[i];

		if (left->reason[i] == NULL || table->identity.pid != process->pid ||
			table->identity.start_time != process->start_time)
			continue;
		if (strcmp(process->reason, "signal") == 0 && strcmp(left->reason[i], "running") == 0)
			left->reason[i] = NULL;
		else if (strcmp(process->reason, "signal") == 0)
			superseded = strcmp(left->reason[i], "killed") == 0;
		else if (strcmp(process->reason, "exit") == 0)
			left->reason[i] = "exec";
	}
	return superseded;
}
