/* Prints the comparison; see print.h. */
#include "cli/compare/print.h"

#include <stdio.h>

#include "cli/common/display.h"
#include "cli/common/json.h"
#include "cli/common/messages.h"

/* For people and for JSON. */
static const char *const figure_names[LZ_FIGURES] = {"time", "minor faults", "peak RSS (largest process)",
	"peak PSS (all processes)", "peak page tables (all processes)"};
static const char *const figure_keys[LZ_FIGURES] = {
	"seconds", "minor_faults", "rss_peak_bytes", "pss_peak_bytes", "page_tables_peak_bytes"};

static struct lz_display figure_text(enum lz_figure figure, double value)
{
	struct lz_display text;

	if (figure == LZ_FIGURE_SECONDS)
		snprintf(text.text, sizeof text.text, value < 10 ? "%.3f s" : "%.1f s", value);
	else if (figure == LZ_FIGURE_FAULTS)
		snprintf(text.text, sizeof text.text, "%.0f", value);
	else
		text = lz_size_text_in((uint64_t)value, LZ_UNITS_AUTO);
	return text;
}

static void print_row(
	const struct lz_comparison *comparison, const struct lz_contender *contender, enum lz_figure figure)
{
	double ratio = lz_ratio_to_bare(comparison, contender, figure);
	struct lz_spread spread;

	printf("  %-28.28s", lz_printable(contender->name).text);
	if (!lz_spread_of(contender, figure, &spread)) {
		printf(" %11s\n", "-");
		return;
	}
	printf(" %11s", figure_text(figure, spread.median).text);
	if (ratio >= 0)
		printf(ratio < 0.01 ? " %8.4f" : " %8.2f", ratio);
	else
		printf(" %8s", "-");
	printf("  %11s %11s\n", figure_text(figure, spread.least).text,
		figure_text(figure, spread.greatest).text);
}

void lz_compare_print_text(const struct lz_comparison *comparison)
{
	const struct lz_contender *bare = &comparison->contenders[0];

	for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
		if (figure == 0)
			printf("%-30s %11s %8s  %11s %11s\n", figure_names[figure], "median", "of bare",
				"least", "greatest");
		else
			printf("%s\n", figure_names[figure]);
		for (size_t i = 0; i < comparison->count; i++)
			if (comparison->contenders[i].count > 0)
				print_row(comparison, &comparison->contenders[i], figure);
	}
	printf("%zu run%s of each contender\n", bare->count, bare->count == 1 ? "" : "s");
	for (size_t i = 0; i < comparison->count; i++) {
		const struct lz_contender *contender = &comparison->contenders[i];

		if (contender->problem[0] != '\0')
			lz_warning("%s: %s", lz_printable(contender->name).text,
				lz_printable(contender->problem).text);
	}
}

static json_t *figure_json(enum lz_figure figure, double value)
{
	if (value < 0)
		return json_null();
	return figure == LZ_FIGURE_SECONDS ? json_real(value) : json_integer((json_int_t)value);
}

static json_t *contender_json(const struct lz_comparison *comparison, const struct lz_contender *contender)
{
	json_t *object = json_object();
	json_t *runs = json_array();

	json_object_set_new(object, "name", lz_json_string(contender->name));
	json_object_set_new(object, "problem",
		contender->problem[0] != '\0' ? lz_json_string(contender->problem) : json_null());
	for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++) {
		json_t *item = json_object();
		struct lz_spread spread;
		double ratio = lz_ratio_to_bare(comparison, contender, figure);

		if (lz_spread_of(contender, figure, &spread)) {
			json_object_set_new(item, "median", figure_json(figure, spread.median));
			json_object_set_new(item, "least", figure_json(figure, spread.least));
			json_object_set_new(item, "greatest", figure_json(figure, spread.greatest));
			json_object_set_new(item, "of_bare", ratio >= 0 ? json_real(ratio) : json_null());
		}
		json_object_set_new(object, figure_keys[figure], item);
	}
	json_object_set_new(object, "runs", runs);
	for (size_t i = 0; i < contender->count; i++) {
		json_t *run = json_object();

		for (enum lz_figure figure = 0; figure < LZ_FIGURES; figure++)
			json_object_set_new(run, figure_keys[figure],
				figure_json(figure, contender->runs[i].figure[figure]));
		json_array_append_new(runs, run);
	}
	return object;
}

int lz_compare_print_json(const struct lz_comparison *comparison)
{
	json_t *object = json_object();
	json_t *argv = json_array();
	json_t *contenders = json_array();

	for (size_t i = 0; comparison->argv[i] != NULL; i++)
		json_array_append_new(argv, lz_json_string(comparison->argv[i]));
	for (size_t i = 0; i < comparison->count; i++)
		json_array_append_new(contenders, contender_json(comparison, &comparison->contenders[i]));
	json_object_set_new(object, "program", argv);
	json_object_set_new(object, "rounds", lz_json_number(comparison->rounds));
	json_object_set_new(object, "contenders", contenders);
	return lz_json_print(object);
}
