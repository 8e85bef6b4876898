/*
 * What demand paging costs, shown on this machine: ten claims, each measured in a process of its own,
 * bare, under lazyzero, and two of them also on its zero window, and held against what it should be.
 *
 *   experiments [--scale N] [--only E5,E8,E9] [--library PATH]
 *
 * At full size it takes three minutes, almost two of them for E8; with --scale 64, ten seconds. The exit
 * status is 0 when every figure is as expected, 1 when one is not, 2 for a wrong option. E8, measured on
 * Linux 6.18 with 1 GiB: bare is killed after 90 s with 1024 MiB of page tables and 1.5 MiB resident;
 * refused, it ends by itself after 36 ms; on a window, in 32 MiB, it has read all 512 GiB after 1.4 s.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lazyzero.h>

#include "../tests/kernel.h"
#include "common.h"
#include "experiment/claims.h"
#include "experiment/run.h"

/* The child says by it which library it runs under. */
#pragma weak lz_version

/* Below these, what a process takes anyway drowns the figures: 512 MiB on x86-64, and a limit of 16 MiB. */
#define LEAST_PAGES 131072u

#define CELL 32

struct options {
	uint64_t scale;
	const char *only;
	char preload[PATH_MAX];
};

/* What did not hold and what could not be run, for the last line. */
static char failures[256], skips[64];

static void usage(FILE *to)
{
	fputs("Usage: experiments [OPTION]...\n"
	      "Show what demand paging costs in page tables, bare and under lazyzero.\n\n"
	      "  --scale N       divide all sizes by N (1 takes minutes, 64 seconds)\n"
	      "  --only LIST     run only these claims, such as E5,E8\n"
	      "  --library PATH  the library to preload (default: the one built beside this program)\n"
	      "  --help          print this\n\n"
	      "A figure marked ! is not as expected. Exit status: 0 all are, 1 some are not, 2 wrong "
	      "usage.\n",
		to);
}

/* --- the child --- */

static int run_child(const char *id, const char *size)
{
	/* By this name the kernel's log knows us; exec of /proc/self/exe made it "exe". */
	prctl(PR_SET_NAME, "experiments");
	/* Line by line: what was measured before the child is killed is to arrive. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (lz_version != NULL)
		printf("version %s\n", lz_version());
	for (unsigned i = 0; i < claim_count; i++)
		if (strcmp(claims[i].id, id) == 0)
			claims[i].workload(strtoull(size, NULL, 10));
	return 0;
}

/* --- the table --- */

static void format_value(char cell[CELL], enum unit unit, uint64_t value)
{
	int status = (int)value;

	switch (unit) {
	case BYTES:
		format_size(cell, value);
		break;
	case COUNT:
		snprintf(cell, CELL, "%" PRIu64, value);
		break;
	case MICROSECONDS:
		if (value < 1000)
			snprintf(cell, CELL, "%" PRIu64 " us", value);
		else if (value < 1000000)
			snprintf(cell, CELL, "%" PRIu64 " ms", value / 1000);
		else
			snprintf(cell, CELL, "%.1f s", (double)value / 1e6);
		break;
	case RESULT:
		snprintf(cell, CELL, "%s", value == 0 ? "served" : strerrorname_np((int)value));
		break;
	case WAIT_STATUS:
		if (WIFSIGNALED(status))
			snprintf(cell, CELL, "SIG%s", sigabbrev_np(WTERMSIG(status)));
		else
			snprintf(cell, CELL, "exit %d", WEXITSTATUS(status));
		break;
	}
}

static void format_range(char cell[CELL], enum unit unit, const struct range *range)
{
	const char *sign = range->low == range->high ? "" : range->low == 0 ? "<= " : "~ ";
	uint64_t middle = range->low == 0 ? range->high : range->low + (range->high - range->low) / 2;
	char value[CELL];

	if (range->any) {
		snprintf(cell, CELL, range->not_applicable ? "n/a" : "-");
		return;
	}
	if (range->high == UINT64_MAX) {
		sign = ">= ";
		middle = range->low;
	}
	format_value(value, unit, middle);
	snprintf(cell, CELL, "%s%.24s", sign, value);
}

static void fail(const char *id, enum column column, const char *label)
{
	size_t length = strlen(failures);

	snprintf(failures + length, sizeof failures - length, "%s%s %s: %s", length == 0 ? "" : "; ", id,
		column_names[column], label);
}

/* The cell of a column, and whether the figure is as expected. */
static bool format_outcome(
	char cell[CELL], const struct figure *figure, enum column column, const struct outcome *outcome)
{
	const struct range *range = &figure->range[column];
	uint64_t value = outcome_value(outcome, figure->key);

	snprintf(cell, CELL, "-");
	if (value != UNKNOWN)
		format_value(cell, figure->unit, value);
	return range->any || (value != UNKNOWN && range->low <= value && value <= range->high);
}

/* A line of cells, each with a mark behind it. */
static void print_cells(const char *label, char cells[COLUMNS][CELL], const char *marks, unsigned columns)
{
	printf("    %-34s", label);
	for (unsigned column = 0; column < columns; column++)
		printf(" %11s%c", cells[column], marks[column]);
	putchar('\n');
}

/* What was measured, and below it what should have been, where it matters. */
static void print_figure(
	const char *id, const struct figure *figure, const struct outcome *outcomes, unsigned columns)
{
	char cells[COLUMNS][CELL], expected[COLUMNS][CELL], marks[COLUMNS];
	bool judged = false;

	for (enum column column = BARE; column < columns; column++) {
		bool held = format_outcome(cells[column], figure, column, &outcomes[column]);

		marks[column] = held ? ' ' : '!';
		if (!held)
			fail(id, column, figure->label);
		format_range(expected[column], figure->unit, &figure->range[column]);
		judged |= !figure->range[column].any || figure->range[column].not_applicable;
	}
	print_cells(figure->label, cells, marks, columns);
	if (judged)
		print_cells("  expected", expected, "   ", columns);
}

/* Breaks a long message at spaces. */
static void print_message(const char *text)
{
	const size_t width = 74;

	for (const char *lead = "    > "; *text != '\0'; lead = "      ") {
		size_t length = strlen(text);

		if (length > width) {
			for (length = width; length > 0 && text[length] != ' '; length--)
				continue;
			length = length == 0 ? width : length;
		}
		printf("%s%.*s\n", lead, (int)length, text);
		text += length;
		text += *text == ' ';
	}
}

/* A run that could not be made counts neither way. E4, for one, needs a recent kernel, and E8 a control
 * group. */
static bool was_skipped(const char *id, const struct outcome *outcome)
{
	size_t length = strlen(skips);
	char text[sizeof outcome->skipped + 16];

	if (outcome->skipped[0] == '\0')
		return false;
	snprintf(text, sizeof text, "skipped: %.159s", outcome->skipped);
	print_message(text);
	snprintf(skips + length, sizeof skips - length, " %s", id);
	return true;
}

static uint64_t window_limit(const struct claim *claim, uint64_t size)
{
	uint64_t limit = size / claim->window_limit_share;

	return limit > claim->least_limit ? limit : claim->least_limit;
}

static void print_heading(const struct claim *claim, const struct workload *workload)
{
	char size[SIZE_TEXT], limit[SIZE_TEXT];

	printf("%s  %s\n", claim->id, claim->text);
	if (workload->limit != 0) {
		printf("    (%s in a memory control group of %s", format_size(size, workload->size),
			format_size(limit, workload->limit));
		if (claim->window != NULL)
			printf("; on the window, of %s",
				format_size(limit, window_limit(claim, workload->size)));
		puts(")");
	} else if (workload->size != 0)
		printf("    (%s)\n", format_size(size, workload->size));
	fflush(stdout);
}

static void set_size(struct workload *workload, const struct claim *claim, uint64_t scale)
{
	uint64_t unit = LEAST_PAGES * page_bytes();
	uint64_t least = claim->limit_share != 0 ? claim->least_limit * claim->limit_share : unit;

	if (claim->size == 0)
		return;
	workload->size = claim->size / scale / unit * unit;
	if (workload->size < least || (claim->reads_all && !kernel_has_zero_page()))
		workload->size = least;
	workload->limit = claim->limit_share != 0 ? workload->size / claim->limit_share : 0;
}

static void run_claim(const struct claim *claim, const struct options *options)
{
	static const struct figure whole = {
		"us", "time of the whole run", MICROSECONDS, {{.any = true}, {.any = true}, {.any = true}}};
	struct workload workload = {.id = claim->id, .preload = options->preload};
	struct figure figures[MOST_FIGURES];
	struct outcome outcomes[COLUMNS];
	unsigned count, columns = claim->window != NULL ? COLUMNS : WINDOW;

	set_size(&workload, claim, options->scale);
	print_heading(claim, &workload);
	for (enum column column = BARE; column < columns; column++) {
		workload.settings = column == WINDOW ? claim->window : claim->settings;
		if (column == WINDOW && workload.limit != 0)
			workload.limit = window_limit(claim, workload.size);
		run_workload(&workload, column, &outcomes[column]);
		if (was_skipped(claim->id, &outcomes[column]))
			return;
		if (column != BARE && outcomes[column].version[0] == '\0')
			fail(claim->id, column, "the library was not loaded");
	}
	count = claim->figures(workload.size, figures);
	for (unsigned i = 0; i < count; i++)
		print_figure(claim->id, &figures[i], outcomes, columns);
	print_figure(claim->id, &whole, outcomes, columns);
	for (enum column column = BARE; column < columns; column++)
		print_message(outcomes[column].message);
}

static void print_note(void)
{
	char size[SIZE_TEXT];

	if (kernel_has_zero_page())
		return;
	format_size(size, LEAST_PAGES * page_bytes());
	printf("Note: this kernel has no zero page: it answers reads of untouched memory with memory of its\n"
	       "own, so that bare reads fill real memory. E2 to E5 are run with %s, whatever the scale;\n"
	       "E8 is confined, and dies of the memory it reads before its page tables grow. What follows\n"
	       "from the zero page is not applicable here (n/a): those figures are shown, not judged.\n\n",
		size);
}

/* --- options --- */

/* The library as the build leaves it: this program is BUILD/examples/experiments. */
static void find_library(char path[PATH_MAX])
{
	static const char built[] = "/../.libs/liblazyzero.so";
	char self[PATH_MAX - sizeof built];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

	self[length > 0 ? length : 0] = '\0';
	if (strrchr(self, '/') != NULL)
		*strrchr(self, '/') = '\0';
	snprintf(path, PATH_MAX, "%s%s", self, built);
	/* Installed, the dynamic linker knows where it is. */
	if (access(path, R_OK) != 0)
		snprintf(path, PATH_MAX, "liblazyzero.so.0");
}

static _Noreturn void refuse_usage(void)
{
	fprintf(stderr, "Try 'experiments --help'.\n");
	exit(2);
}

/* Whether a list such as "E5,e10" names a claim. */
static bool is_listed(const char *list, const char *id)
{
	while (*list != '\0') {
		size_t length = strcspn(list, ",");

		if (strlen(id) == length && strncasecmp(id, list, length) == 0)
			return true;
		list += length + (list[length] == ',');
	}
	return false;
}

static bool is_claim(const char *name, size_t length)
{
	for (unsigned i = 0; i < claim_count; i++)
		if (strlen(claims[i].id) == length && strncasecmp(claims[i].id, name, length) == 0)
			return true;
	return false;
}

static void check_only(const char *list)
{
	while (*list != '\0') {
		size_t length = strcspn(list, ",");

		if (!is_claim(list, length)) {
			fprintf(stderr, "experiments: '%.*s' is not one of E1 to E8 and E10\n", (int)length,
				list);
			refuse_usage();
		}
		list += length + (list[length] == ',');
	}
}

static void read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {{"scale", required_argument, NULL, 's'},
		{"only", required_argument, NULL, 'o'}, {"library", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 's':
			if (parse_size(optarg, &options->scale))
				break;
			fprintf(stderr, "experiments: '%s' is not a number of at least 1\n", optarg);
			refuse_usage();
		case 'o':
			check_only(optarg);
			options->only = optarg;
			break;
		case 'l':
			snprintf(options->preload, sizeof options->preload, "%s", optarg);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			refuse_usage();
		}
	}
	if (optind == argc)
		return;
	fprintf(stderr, "experiments: unexpected argument '%s'\n", argv[optind]);
	refuse_usage();
}

int main(int argc, char **argv)
{
	struct options options = {.scale = 1};

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return run_child(argv[2], argv[3]);
	find_library(options.preload);
	read_options(argc, argv, &options);
	if (strchr(options.preload, '/') != NULL && access(options.preload, R_OK) != 0) {
		fprintf(stderr, "experiments: %s: %s\n", options.preload, strerror(errno));
		return 2;
	}
	print_note();
	printf("#   %-34s %11s  %11s  %11s\n", "claim", column_names[BARE], column_names[LAZYZERO],
		column_names[WINDOW]);
	for (unsigned i = 0; i < claim_count; i++)
		if (options.only == NULL || is_listed(options.only, claims[i].id))
			run_claim(&claims[i], &options);
	if (failures[0] != '\0')
		printf("\nNot as expected (marked !): %s\n", failures);
	else
		printf("\nAll figures are as expected%s%s%s.\n",
			kernel_has_zero_page() ? "" : ", where they are applicable",
			skips[0] == '\0' ? "" : "; skipped:", skips);
	return failures[0] == '\0' ? 0 : 1;
}
