/* Sorts and frees reports; see model.h. */
#include "cli/report/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

void lz_report_free(struct lz_report *report)
{
	for (size_t i = 0; i < report->site_count + report->zeroer_count; i++)
		free(report->sites[i].frames);
	for (size_t i = 0; i < report->module_count; i++) {
		free(report->modules[i].path);
		free(report->modules[i].build_id);
	}
	for (size_t i = 0; i < report->address_count; i++) {
		for (size_t j = 0; j < report->addresses[i].place_count; j++) {
			free(report->addresses[i].places[j].function);
			free(report->addresses[i].places[j].file);
		}
		free(report->addresses[i].places);
	}
	free(report->modules);
	free(report->addresses);
	free(report->sites);
	free(report->regions);
	free(report->processes);
}

void lz_report_usage_add(struct lz_report_usage *sum, const struct lz_report_usage *usage)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)usage;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		if (to[i] == UINT64_MAX || from[i] == UINT64_MAX ||
			__builtin_add_overflow(to[i], from[i], &to[i]))
			to[i] = UINT64_MAX;
}

uint64_t lz_report_scale_to_peak(const struct lz_report_site *site, uint64_t sum)
{
	if (sum == UINT64_MAX || site->sum.bytes == 0 || site->sum.bytes == UINT64_MAX ||
		site->sum.peak == UINT64_MAX)
		return UINT64_MAX;
	return (uint64_t)((unsigned __int128)sum * site->sum.peak / site->sum.bytes);
}

static uint64_t waste_of(const struct lz_report_site *site)
{
	uint64_t written = lz_report_scale_to_peak(site, site->sum.written);
	uint64_t zero = lz_report_scale_to_peak(site, site->sum.written_zero);
	uint64_t data = zero == UINT64_MAX ? written : lz_sub_clamped(written, zero);

	return written == UINT64_MAX ? UINT64_MAX : lz_sub_clamped(site->sum.peak, data);
}

bool lz_report_site_zeroes(const struct lz_report_site *site)
{
	return strcmp(site->call, "memset") == 0;
}

static int compare(const void *a, const void *b, void *context)
{
	const struct lz_report *report = context;
	const struct lz_report_site *left = &report->sites[*(const size_t *)a];
	const struct lz_report_site *right = &report->sites[*(const size_t *)b];

	if (lz_report_site_zeroes(left) != lz_report_site_zeroes(right))
		return lz_report_site_zeroes(left) - lz_report_site_zeroes(right);
	if (lz_report_site_zeroes(left))
		return left->sum.written < right->sum.written   ? 1
		       : left->sum.written > right->sum.written ? -1
								: 0;
	/* Unknown waste, UINT64_MAX, wraps to 0 and sorts last. */
	if (left->waste != right->waste)
		return left->waste + 1 < right->waste + 1 ? 1 : -1;
	return left->sum.peak < right->sum.peak ? 1 : left->sum.peak > right->sum.peak ? -1 : 0;
}

void lz_report_sort(struct lz_report *report)
{
	size_t count = report->site_count;
	size_t *order = calloc(count + 1, sizeof *order), *place = calloc(count + 1, sizeof *place);
	struct lz_report_site *sorted = calloc(count + 1, sizeof *sorted);

	if (order == NULL || place == NULL || sorted == NULL)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		report->sites[i].waste = waste_of(&report->sites[i]);
		order[i] = i;
	}
	if (count > 0)
		qsort_r(order, count, sizeof *order, compare, report);
	for (size_t i = 0; i < count; i++) {
		sorted[i] = report->sites[order[i]];
		place[order[i]] = i;
	}
	for (size_t i = 0; count > 0 && i < report->region_count; i++)
		report->regions[i].site = place[report->regions[i].site];
	if (count > 0)
		memcpy(report->sites, sorted, count * sizeof *sorted);
	while (report->site_count > 0 && lz_report_site_zeroes(&report->sites[report->site_count - 1])) {
		report->site_count--;
		report->zeroer_count++;
	}
	report->zeroers = report->zeroer_count > 0 ? &report->sites[report->site_count] : NULL;
	free(sorted);
	free(order);
	free(place);
}
