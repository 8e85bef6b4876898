/* Prints folded stacks; see folded.h. */
#include "cli/report/folded.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "cli/common/display.h"
#include "cli/report/headline.h"
#include "cli/report/hints.h"
#include "cli/report/python.h"

const char *const lz_report_class_names[LZ_REPORT_CLASSES] = {
	"written", "written with zeros", "only read", "never touched"};

void lz_report_classes(const struct lz_report_site *site, uint64_t bytes[LZ_REPORT_CLASSES], bool *known)
{
	uint64_t written = lz_report_scale_to_peak(site, site->sum.written);
	uint64_t zeros = lz_report_scale_to_peak(site, site->sum.written_zero);
	uint64_t read = lz_report_scale_to_peak(site, site->sum.zero);
	uint64_t peak = site->sum.peak != UINT64_MAX ? site->sum.peak : 0;

	*known = written != UINT64_MAX && read != UINT64_MAX;
	bytes[1] = *known && zeros != UINT64_MAX ? lz_min_u64(zeros, written) : 0;
	bytes[0] = *known ? written - bytes[1] : 0;
	bytes[2] = *known ? read : 0;
	bytes[3] = *known ? lz_sub_clamped(lz_sub_clamped(peak, written), read) : peak;
}

/* A name of a frame, in which a semicolon would end it. */
static void print_frame(const char *name)
{
	for (const char *at = lz_printable(name).text; *at != '\0'; at++)
		putchar(*at == ';' ? ':' : *at);
}

static void print_stack(const struct lz_report *report, const struct lz_report_site *site)
{
	for (size_t frame = site->frame_count; frame-- > 0;) {
		const struct lz_report_address *address = &report->addresses[site->frames[frame]];

		for (size_t place = address->place_count; place-- > 0;) {
			const char *function = address->places[place].function;
			char *name = function != NULL ? lz_report_bare_name(function) : NULL;
			char line[512];

			/* The module code of every Python file has the same name, so the file is needed. */
			lz_report_place_name(report, address, place, line, sizeof line);
			print_frame(lz_report_is_python(report, address) ? line : name != NULL ? name : "?");
			putchar(';');
			free(name);
		}
		if (address->place_count > 0)
			continue;
		if (address->module != SIZE_MAX)
			print_frame(lz_base_name(report->modules[address->module].path));
		printf("+0x%" PRIx64 ";", address->offset);
	}
}

void lz_report_print_folded(const struct lz_report *report)
{
	for (size_t i = 0; i < report->site_count; i++) {
		uint64_t bytes[LZ_REPORT_CLASSES];
		bool known;

		lz_report_classes(&report->sites[i], bytes, &known);
		for (size_t class = 0; class < LZ_REPORT_CLASSES; class ++) {
			if (bytes[class] == 0)
				continue;
			print_stack(report, &report->sites[i]);
			printf("[%s] %" PRIu64 "\n", known ? lz_report_class_names[class] : "unknown",
				bytes[class]);
		}
	}
}
