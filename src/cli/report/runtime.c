/* Recognises the runtimes of languages; see runtime.h. */
#include "cli/report/runtime.h"

#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/report/python.h"

/* By the base name of the module that is in the stack; the programs and libraries of one language stand
 * together. */
static const struct {
	const char *language, *pattern;
} runtimes[] = {
	{"Java", "libjvm.so*"},
	{"JavaScript", "node"},
	{"JavaScript", "nodejs"},
	{"JavaScript", "libnode.so*"},
	{"Python", "python[23]*"},
	{"Python", "libpython[23]*"},
	{"Python", "libpypy*"},
	{"R", "libR.so*"},
	{"Perl", "perl"},
	{"Perl", "perl5*"},
	{"Perl", "libperl.so*"},
	{"Ruby", "ruby"},
	{"Ruby", "libruby*.so*"},
	{"PHP", "php"},
	{"Lua", "lua5*"},
	{"Lua", "liblua*.so*"},
	{".NET", "libcoreclr.so*"},
	{"Erlang", "beam.smp"},
	{"Julia", "libjulia*.so*"},
};

#define RUNTIMES (sizeof runtimes / sizeof *runtimes)

/* Marks the runtimes in the stack of a site. */
static void mark(const struct lz_report *report, const struct lz_report_site *site, bool present[RUNTIMES])
{
	for (size_t frame = 0; frame < site->frame_count; frame++) {
		size_t module = report->addresses[site->frames[frame]].module;

		if (module == SIZE_MAX || report->modules[module].is_source)
			continue;
		for (size_t i = 0; i < RUNTIMES; i++)
			present[i] |= fnmatch(runtimes[i].pattern, lz_base_name(report->modules[module].path),
					      0) == 0;
	}
}

bool lz_report_runtime_note(const struct lz_report *report, char *note, size_t capacity)
{
	bool present[RUNTIMES] = {false}, has_python = false;
	size_t length;
	const char *last = NULL;

	for (size_t i = 0; i < report->site_count; i++) {
		const struct lz_report_site *site = &report->sites[i];

		mark(report, site, present);
		has_python |= lz_report_python_innermost(report, site) < site->frame_count;
	}
	length = (size_t)snprintf(note, capacity, "Frames of ");
	for (size_t i = 0; i < RUNTIMES; i++) {
		if (!present[i] || (has_python && strcmp(runtimes[i].language, "Python") == 0) ||
			(last != NULL && strcmp(last, runtimes[i].language) == 0))
			continue;
		length += (size_t)snprintf(note + length, capacity - length, "%s%s%s",
			last != NULL ? ", " : "", runtimes[i].language,
			strcmp(runtimes[i].language, "Python") == 0 ? " (other than CPython 3.11 to 3.15)"
								    : "");
		last = runtimes[i].language;
	}
	snprintf(note + length, capacity - length, " are not read: a call site shows the native code.");
	return last != NULL;
}
