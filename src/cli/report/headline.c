/* Chooses headlines; see headline.h. */
#include "cli/report/headline.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/display.h"
#include "cli/report/python.h"

/* Modules whose functions are nobody's own code. */
static const char *const modules[] = {"liblazyzero.so*", "ld-linux*.so*", "ld-musl*", "libc.so*", "libc-*.so",
	"libc.musl*", "libm.so*", "libpthread.so*", "libstdc++.so*", "libc++.so*", "libc++abi.so*",
	"libgcc_s.so*", "libgfortran.so*", "libjemalloc.so*", "libmimalloc*.so*", "libtcmalloc*.so*", NULL};

/* Functions that allocate for their callers: C++, Rust, wrappers of malloc that are common in C. */
static const char *const functions[] = {"operator new", "operator new\\[\\]", "std::*", "__gnu_cxx::*",
	"__libc_*", "alloc::*", "<alloc::*", "core::*", "<core::*", "hashbrown::*", "<hashbrown::*",
	"__rust_*", "__rdl_*", "__rg_*", "<*as core::*", "<*as alloc::*", "*allocator<*>::*", "malloc",
	"calloc", "realloc", "xmalloc", "xcalloc", "xrealloc", "xzalloc", "x2nrealloc", "xnmalloc",
	"g_malloc*", "g_realloc*", "g_try_malloc*", "g_slice_alloc*", "PyMem_*", "_PyMem_*",
	"PyObject_Malloc", "PyObject_Calloc", "PyDataMem_*", "default_malloc", "default_calloc",
	"npy_alloc_cache*", NULL};

char *lz_report_bare_name(const char *function)
{
	const char *start = function, *end = NULL;
	int depth = 0;
	char *name;

	for (const char *at = function; *at != '\0'; at++) {
		bool is_operator =
			strncmp(at, "operator", 8) == 0 && (at == function || at[-1] == ':' || at[-1] == ' ');

		if (is_operator && depth == 0) {
			/* Its name may hold spaces, brackets and parentheses. */
			at += 8;
			if (strncmp(at, "()", 2) == 0)
				at += 2;
			end = strchr(at, '(');
			break;
		}
		if (*at == '<')
			depth++;
		else if (*at == '>' && at > function && at[-1] != '-')
			depth--;
		else if (depth == 0 && *at == ' ' && strncmp(at, " [clone", 7) != 0)
			start = at + 1;
		else if (depth == 0 && *at == '(' && at > start && strncmp(at, "(anonymous", 10) != 0) {
			end = at;
			break;
		}
	}
	name = strndup(start, end != NULL ? (size_t)(end - start) : strlen(start));
	return name;
}

static bool matches_any(const char *name, const char *const *patterns)
{
	for (; *patterns != NULL; patterns++)
		if (fnmatch(*patterns, name, 0) == 0)
			return true;
	return false;
}

/* Whether a name matches one of the patterns in a list separated by commas. */
static bool matches_list(const char *name, const char *list)
{
	bool found = false;
	char *copy = list != NULL ? strdup(list) : NULL, *rest = copy, *pattern;

	while (!found && copy != NULL && (pattern = strsep(&rest, ",")) != NULL)
		found = fnmatch(pattern, name, 0) == 0;
	free(copy);
	return found;
}

static bool is_skipped_module(const char *path, const char *skip)
{
	const char *name = lz_base_name(path);

	return matches_any(name, modules) || matches_list(name, skip);
}

static bool is_skipped_function(const char *function, const char *skip)
{
	char *bare = lz_report_bare_name(function);
	bool skipped = bare != NULL && (matches_any(bare, functions) || matches_list(bare, skip) ||
					       matches_list(function, skip));

	free(bare);
	return skipped;
}

/* Sets the headline to a place of a frame; there may be no places. */
static void set_headline(struct lz_report *report, struct lz_report_site *site, size_t frame, size_t place)
{
	const struct lz_report_address *address = &report->addresses[site->frames[frame]];

	site->headline_frame = frame;
	site->headline_place = place;
	site->offset = address->offset;
	site->module = address->module != SIZE_MAX ? report->modules[address->module].path : NULL;
	site->function = site->file = NULL;
	site->line = 0;
	if (place < address->place_count) {
		site->function = address->places[place].function;
		site->file = address->places[place].file;
		site->line = address->places[place].line;
	}
}

/* Finds out which places of an address only pass requests on. */
static void mark(struct lz_report *report, struct lz_report_address *address, const char *skip)
{
	const char *path = address->module != SIZE_MAX ? report->modules[address->module].path : NULL;
	bool python = lz_report_is_python(report, address);
	bool module = path != NULL && is_skipped_module(path, skip);

	if (python)
		module = lz_report_python_skips_file(path) || matches_list(lz_base_name(path), skip);
	address->passes_on = module || address->place_count > 0;
	for (size_t i = 0; i < address->place_count; i++) {
		struct lz_report_place *place = &address->places[i];

		place->passes_on = module || (place->function != NULL &&
						     (python ? matches_list(place->function, skip)
							     : is_skipped_function(place->function, skip)));
		address->passes_on &= place->passes_on;
	}
}

/* Sets the headline to the first place that does more than to pass the request on. */
static bool find_headline(struct lz_report *report, struct lz_report_site *site)
{
	for (size_t frame = 0; frame < site->frame_count; frame++) {
		const struct lz_report_address *address = &report->addresses[site->frames[frame]];
		size_t place = 0;

		if (address->passes_on)
			continue;
		while (place < address->place_count && address->places[place].passes_on)
			place++;
		set_headline(report, site, frame, place);
		return true;
	}
	return false;
}

void lz_report_set_headlines(struct lz_report *report, const char *skip)
{
	for (size_t i = 0; i < report->address_count; i++)
		mark(report, &report->addresses[i], skip);
	lz_report_python_mark_interpreter(report);
	for (size_t i = 0; i < report->site_count; i++) {
		struct lz_report_site *site = &report->sites[i];
		size_t innermost = lz_report_python_innermost(report, site);

		if (!find_headline(report, site))
			set_headline(report, site, innermost < site->frame_count ? innermost : 0, 0);
	}
}
