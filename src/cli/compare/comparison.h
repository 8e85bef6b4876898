/* What `lazyzero compare` measures: several configurations, called contenders, of one program. */
#ifndef LZ_CLI_COMPARE_COMPARISON_H
#define LZ_CLI_COMPARE_COMPARISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lz_figure {
	LZ_FIGURE_SECONDS,
	LZ_FIGURE_FAULTS, /* minor */
	LZ_FIGURE_RSS,    /* peak, bytes, of the largest process */
	LZ_FIGURE_PSS,    /* peak of all processes together, bytes, sampled from outside */
	LZ_FIGURE_TABLES, /* the same for their page tables */
	LZ_FIGURES
};

/* One run. A figure that is not known is negative. */
struct lz_run_figures {
	double figure[LZ_FIGURES];
};

/* A configuration in which the program is run. */
struct lz_contender {
	char name[48];
	const char *preload; /* library put at the start of LD_PRELOAD; NULL: none */
	const char *backing; /* value of LAZYZERO_BACKING; NULL: unset */
	char problem[128];   /* why there are no figures, or why they are not comparable; "": none */
	int status;          /* of its last run, as returned by wait(2) */
	struct lz_run_figures *runs;
	size_t count;
};

struct lz_comparison {
	char *const *argv;
	struct lz_contender *contenders; /* the first one is the bare program */
	size_t count;
	size_t rounds; /* as requested */
};

/* A figure over all runs of a contender. */
struct lz_spread {
	double median, least, greatest;
};

/* Returns false if the figure is not known. */
bool lz_spread_of(const struct lz_contender *contender, enum lz_figure figure, struct lz_spread *spread);

/* The contender's median divided by that of the bare program; negative if either is not known. */
double lz_ratio_to_bare(
	const struct lz_comparison *comparison, const struct lz_contender *contender, enum lz_figure figure);

/*
 * Marks contenders whose exit status differs from that of the bare program: they did not do the same work.
 * Warns if the bare program fails. Returns 1 if any contender has a problem, else 0.
 */
int lz_comparison_check_statuses(struct lz_comparison *comparison);

#endif
