/* Writes the pages; see pages.h. */
#include "cli/top/pages.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/process/details.h"

static const char help[] =
	"Keys\n"
	"\n"
	"  q             quit\n"
	"  h ?           this page; any key leaves it\n"
	"  t             tree of processes with sums, or list\n"
	"  c             control groups with sums, or list\n"
	"  /             filter: part of a name, user or control group, or a process ID;\n"
	"                Enter keeps it, Esc removes it\n"
	"  Enter         all figures of the selected process; q, Esc or Enter leaves them\n"
	"  space         fold or unfold the selected row of a tree or control group\n"
	"  < >           sort by the column to the left or right\n"
	"  r             reverse the order\n"
	"  arrows k j    select a row\n"
	"  PgUp PgDn     scroll by a page\n"
	"  Home End      first and last row\n"
	"\n"
	"TABLES are the page tables of now, TOUCHED those if every mapped page were\n"
	"touched. Bold: the library is preloaded. Yellow, red: page tables are more than\n"
	"a tenth of resident memory, or more than all of it. 'lazyzero stat --help'\n"
	"explains all columns; -o chooses them.\n";

static void write_details(FILE *out, const struct lz_top *top)
{
	struct lz_process process;
	int error = lz_process_read(
		top->root, top->geometry, (pid_t)top->details_pid, LZ_READ_MAPS | LZ_READ_PSS, &process);

	if (error != 0 || !lz_process_has_memory(&process)) {
		fprintf(out, "%" PRIu64 " %s%s\n", top->details_pid,
			error == 0 || error == -ESRCH ? "has ended" : "cannot be read: ",
			error == 0 || error == -ESRCH ? "" : strerror(-error));
		return;
	}
	fprintf(out, "Process %" PRIu64 ": %s\n\n", process.pid, lz_printable(process.name).text);
	for (size_t i = 0; i < lz_column_count; i++) {
		const struct lz_column *column = &lz_column_table[i];

		if (!column->from_library && column->kind != LZ_COLUMN_NAME)
			fprintf(out, "  %-9s %10s  %s\n", column->name,
				lz_column_text(column, &process, LZ_UNITS_AUTO).text, column->help);
	}
	if (process.maps_error != 0)
		fprintf(out, "\nIts mappings cannot be read: %s\n", strerror(-process.maps_error));
	if (process.mappings.wire_error != 0)
		fprintf(out, "\nThe library's counters cannot be read: %s\n",
			strerror(-process.mappings.wire_error));
	lz_process_print_details(out, &process, LZ_UNITS_AUTO);
}

void lz_top_write_page(FILE *out, const struct lz_top *top)
{
	if (top->page == LZ_TOP_HELP)
		fputs(help, out);
	else
		write_details(out, top);
}
