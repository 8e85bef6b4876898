/* `lazyzero compare`: what was measured (compare.c), and how it is told (compare_print.c). */
#ifndef LZ_CLI_COMPARE_H
#define LZ_CLI_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lz_figure {
	LZ_FIGURE_SECONDS,
	LZ_FIGURE_FAULTS, /* minor */
	LZ_FIGURE_RSS,    /* peak, bytes, of the largest process */
	LZ_FIGURE_PSS,    /* peak seen from outside, bytes, of all processes together */
	LZ_FIGURE_TABLES, /* the same of their page tables */
	LZ_FIGURES
};

extern const char *const lz_figure_names[LZ_FIGURES]; /* for people */
extern const char *const lz_figure_keys[LZ_FIGURES];  /* for JSON */

/* One run; a figure below 0 is not known. */
struct lz_run_figures {
	double figure[LZ_FIGURES];
};

/* One way to run the program. */
struct lz_contender {
	char name[48];
	const char *preload; /* in front of LD_PRELOAD; NULL: nothing */
	const char *backing; /* LAZYZERO_BACKING; NULL: as it is */
	char problem[128];   /* why there are no figures, or why they are not to be trusted; "" */
	int status;          /* of its last run, as wait(2) has it */
	struct lz_run_figures *runs;
	size_t count;
};

struct lz_comparison {
	char *const *argv;
	struct lz_contender *contenders; /* the first is bare */
	size_t count;
	size_t rounds; /* that were asked for */
};

/*
 * Makes the contenders, with room for comparison->rounds runs of each: bare, under the library of that path,
 * and under each of a list of others (NULL: none), which is cut up and must stay. Returns 0, or the exit
 * status after saying what is wrong. To be freed in any case.
 */
int lz_contenders_init(struct lz_comparison *comparison, const char *library, char *others);
void lz_contenders_free(struct lz_comparison *comparison);

/* The middle, least and greatest of a figure over a contender's runs. False when it is not known. */
struct lz_spread {
	double median, least, greatest;
};
bool lz_spread_of(const struct lz_contender *contender, enum lz_figure figure, struct lz_spread *spread);

void lz_compare_print(const struct lz_comparison *comparison);

/* Both return the exit status. */
int lz_compare_print_json(const struct lz_comparison *comparison);
int lz_compare_draw(const struct lz_comparison *comparison, const char *path);

#endif
