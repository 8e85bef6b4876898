/* Merges sites; see group.h. */
#include "cli/report/group.h"

#include <stdlib.h>
#include <string.h>

#include "cli/common/messages.h"

const char *const lz_report_by_names[] = {"stack", "line", "function", "module", NULL};

static bool is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Takes from a headline what is finer than the groups. */
static void coarsen(struct lz_report_site *site, enum lz_report_by by)
{
	if (by == LZ_REPORT_BY_MODULE && site->module != NULL) {
		site->function = site->file = NULL;
		site->offset = UINT64_MAX;
	} else if (by == LZ_REPORT_BY_FUNCTION && site->function != NULL) {
		site->file = NULL;
		site->offset = UINT64_MAX;
	} else if (site->file != NULL) {
		site->offset = UINT64_MAX;
	}
	if (site->file == NULL)
		site->line = 0;
	free(site->frames);
	site->frames = NULL;
	site->frame_count = site->headline_frame = site->headline_place = 0;
}

static bool is_same_headline(const struct lz_report_site *a, const struct lz_report_site *b)
{
	return lz_report_site_zeroes(a) == lz_report_site_zeroes(b) && a->offset == b->offset &&
	       a->line == b->line && is_same_text(a->module, b->module) &&
	       is_same_text(a->function, b->function) && is_same_text(a->file, b->file) &&
	       (a->module != NULL || strcmp(a->call, b->call) == 0);
}

static void merge(struct lz_report_site *into, const struct lz_report_site *site)
{
	lz_report_usage_add(&into->sum, &site->sum);
	into->backing |= site->backing;
	into->is_shared |= site->is_shared;
	if (strcmp(into->call, site->call) != 0)
		strcpy(into->call, "request");
	if (site->freed_bytes > into->freed_bytes) {
		into->freed_bytes = site->freed_bytes;
		into->freed = site->freed;
	}
}

int lz_report_group(struct lz_report *report, enum lz_report_by by)
{
	size_t *place = calloc(report->site_count + 1, sizeof *place), count = 0;

	if (place == NULL)
		return lz_fail_memory();
	for (size_t i = 0; by != LZ_REPORT_BY_STACK && i < report->site_count; i++) {
		size_t at = 0;

		coarsen(&report->sites[i], by);
		while (at < count && !is_same_headline(&report->sites[at], &report->sites[i]))
			at++;
		if (at < count)
			merge(&report->sites[at], &report->sites[i]);
		else
			report->sites[count++] = report->sites[i];
		place[i] = at;
	}
	if (by != LZ_REPORT_BY_STACK) {
		for (size_t i = 0; i < report->region_count; i++)
			report->regions[i].site = place[report->regions[i].site];
		report->site_count = count;
	}
	free(place);
	return 0;
}
