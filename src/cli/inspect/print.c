/* Prints snapshots; see print.h. */
#include "cli/inspect/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/common/clock.h"
#include "cli/common/display.h"
#include "cli/common/help.h"
#include "cli/common/json.h"
#include "cli/common/messages.h"

#define JSON_VERSION 1
#define MAPPINGS_SHOWN 20u
#define FIGURES_WIDTH 50 /* columns of a row before the mapping */

static const char headings[] = "TABLES  SIZE WRITTEN  ZERO  FILE  SWAP NEVER  HUGE";

static struct lz_display size_text(uint64_t bytes)
{
	return lz_size_text_in(bytes, LZ_UNITS_AUTO);
}

/* "-12.0K" for a negative number of bytes. */
static struct lz_display signed_size_text(int64_t bytes)
{
	struct lz_display shown = {.text = "-"};
	struct lz_display size = size_text(bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes);

	if (bytes >= 0)
		return size;
	strcat(shown.text, size.text);
	return shown;
}

static void print_sums(const struct lz_inspection *inspection, const struct lz_page_sums *sums)
{
	bool from_entries = inspection->pages->from_entries;

	printf("%5s %7s %5s %5s %5s %5s %5s", size_text(sums->size).text, size_text(sums->written).text,
		size_text(sums->zero).text, size_text(sums->file).text, size_text(sums->swapped).text,
		size_text(lz_page_sums_untouched(sums)).text,
		from_entries ? "?" : size_text(sums->huge).text);
}

static void print_mapping(const struct lz_inspection *inspection, const struct lz_inspected_mapping *mapping)
{
	size_t width = inspection->options->width;
	const char *path = *mapping->path != '\0' ? mapping->path : "anonymous";
	char where[32];
	int length = snprintf(where, sizeof where, "%" PRIx64 " %s", mapping->start, mapping->rights);
	size_t rest = width == SIZE_MAX ? width : width - FIGURES_WIDTH - (size_t)length - 3;

	printf("%6s ", size_text(mapping->sums.tables).text);
	print_sums(inspection, &mapping->sums);
	printf("  %s %s", where,
		strlen(path) <= rest ? lz_printable(path).text
				     : lz_printable_tail(path, lz_min_u64(rest, 64)).text);
	if (mapping->sums.mappings > 1 && width == SIZE_MAX)
		printf(" (%" PRIu64 " mappings)", mapping->sums.mappings);
	putchar('\n');
}

/* What the figures do not tell on this kernel, and how they were found. */
static void print_notes(const struct lz_inspection *inspection, const struct lz_snapshot *snapshot)
{
	const struct lz_pages *pages = inspection->pages;

	if (snapshot->tables != snapshot->tables_before)
		printf("While it was looked at, its page tables went from %s to %s.\n",
			lz_size_text(snapshot->tables_before).text, lz_size_text(snapshot->tables).text);
	if (pages->from_entries)
		lz_print_wrapped("This kernel has no PAGEMAP_SCAN (Linux 6.7), so pages that only read "
				 "zeros count as written, and huge pages as small ones.",
			0, 0);
	printf("Looked at in %.1f ms", (double)snapshot->elapsed_ns / 1e6);
	if (!pages->from_entries)
		printf("; the kernel held the lock of its mappings for at most %.2f ms at a time",
			(double)pages->longest_ns / 1e6);
	puts(".");
}

static void print_text(const struct lz_inspection *inspection, const struct lz_snapshot *snapshot)
{
	size_t shown = inspection->options->all || snapshot->count <= MAPPINGS_SHOWN ? snapshot->count
										     : MAPPINGS_SHOWN;
	bool colours = lz_colours_enabled(stdout);
	struct lz_page_sums further = {.mappings = 0};

	printf("%s[%" PRIu64 "]: %" PRIu64 " mapping%s of %s, page tables %s\n",
		lz_printable(inspection->process->name).text, inspection->process->pid,
		snapshot->total.mappings, snapshot->total.mappings == 1 ? "" : "s",
		lz_size_text(snapshot->total.size).text, lz_size_text(snapshot->tables).text);
	printf("%s%s  MAPPING%s\n", colours ? "\033[7m" : "", headings, colours ? "\033[0m" : "");
	for (size_t i = 0; i < shown; i++)
		print_mapping(inspection, &snapshot->mappings[i]);
	for (size_t i = shown; i < snapshot->count; i++)
		lz_page_sums_add(&further, &snapshot->mappings[i].sums);
	if (further.mappings > 0) {
		printf("%6s ", size_text(further.tables).text);
		print_sums(inspection, &further);
		printf("  %" PRIu64 " further mappings (--all)\n", further.mappings);
	}
	printf("%6s %*s  empty, or changed while looking\n", signed_size_text(snapshot->other_tables).text,
		(int)sizeof headings - 8, "");
	printf("%6s ", size_text(snapshot->tables).text);
	print_sums(inspection, &snapshot->total);
	printf("  total (VmPTE)\n");
	print_notes(inspection, snapshot);
}

/* --- JSON --- */

static json_t *sums_json(const struct lz_inspection *inspection, const struct lz_page_sums *sums)
{
	bool from_entries = inspection->pages->from_entries;
	json_t *object = json_object();

	json_object_set_new(object, "mappings", lz_json_number(sums->mappings));
	json_object_set_new(object, "bytes", lz_json_number(sums->size));
	json_object_set_new(object, "written", lz_json_number(sums->written));
	json_object_set_new(object, "zero", lz_json_number(sums->zero));
	json_object_set_new(object, "file", lz_json_number(sums->file));
	json_object_set_new(object, "swapped", lz_json_number(sums->swapped));
	json_object_set_new(object, "untouched", lz_json_number(lz_page_sums_untouched(sums)));
	json_object_set_new(object, "huge", lz_json_number(from_entries ? UINT64_MAX : sums->huge));
	json_object_set_new(object, "page_tables", lz_json_number(sums->tables));
	return object;
}

static json_t *snapshot_json(const struct lz_inspection *inspection, const struct lz_snapshot *snapshot)
{
	json_t *object = json_object();

	json_object_set_new(object, "version", json_integer(JSON_VERSION));
	json_object_set_new(object, "pid", lz_json_number(inspection->process->pid));
	json_object_set_new(object, "name", lz_json_string(inspection->process->name));
	json_object_set_new(object, "page_tables", lz_json_number(snapshot->tables));
	json_object_set_new(object, "page_tables_before", lz_json_number(snapshot->tables_before));
	json_object_set_new(object, "page_tables_empty_or_changed", json_integer(snapshot->other_tables));
	json_object_set_new(object, "total", sums_json(inspection, &snapshot->total));
	json_object_set_new(object, "elapsed_ns", lz_json_number(snapshot->elapsed_ns));
	json_object_set_new(object, "longest_call_ns", lz_json_number(inspection->pages->longest_ns));
	json_object_set_new(object, "calls", lz_json_number(inspection->pages->calls));
	return object;
}

static int print_json(const struct lz_inspection *inspection, const struct lz_snapshot *snapshot)
{
	json_t *object = snapshot_json(inspection, snapshot), *mappings = json_array();

	for (size_t i = 0; i < snapshot->count; i++) {
		const struct lz_inspected_mapping *mapping = &snapshot->mappings[i];
		json_t *row = sums_json(inspection, &mapping->sums);

		json_object_set_new(row, "start", lz_json_number(mapping->start));
		json_object_set_new(row, "end", lz_json_number(mapping->end));
		json_object_set_new(row, "permissions", json_string(mapping->rights));
		json_object_set_new(row, "path", lz_json_string(mapping->path));
		json_array_append_new(mappings, row);
	}
	json_object_set_new(object, "list", mappings);
	return lz_json_print(object);
}

/* By tables, then by what is in memory, then by size, in descending order; then by address. */
static int compare(const void *a, const void *b)
{
	const struct lz_inspected_mapping *left = a, *right = b;
	uint64_t left_present = left->sums.written + left->sums.zero + left->sums.file;
	uint64_t right_present = right->sums.written + right->sums.zero + right->sums.file;

	if (left->sums.tables != right->sums.tables)
		return left->sums.tables < right->sums.tables ? 1 : -1;
	if (left_present != right_present)
		return left_present < right_present ? 1 : -1;
	if (left->sums.size != right->sums.size)
		return left->sums.size < right->sums.size ? 1 : -1;
	return left->start > right->start ? 1 : -1;
}

int lz_inspect_print(const struct lz_inspection *inspection, struct lz_snapshot *snapshot)
{
	if (snapshot->count > 0)
		qsort(snapshot->mappings, snapshot->count, sizeof *snapshot->mappings, compare);
	if (inspection->options->json)
		return print_json(inspection, snapshot);
	print_text(inspection, snapshot);
	return 0;
}

void lz_inspect_print_sample(
	const struct lz_inspection *inspection, const struct lz_snapshot *snapshot, uint64_t ns, bool first)
{
	if (inspection->options->json) {
		json_t *object = snapshot_json(inspection, snapshot);

		json_object_set_new(object, "seconds", json_real((double)ns / (double)LZ_NS_PER_SECOND));
		json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
		putchar('\n');
		json_decref(object);
		return;
	}
	if (first)
		printf("%s[%" PRIu64 "]\nSECONDS %s  EMPTY MAPPINGS\n",
			lz_printable(inspection->process->name).text, inspection->process->pid, headings);
	printf("%7.1f %6s ", (double)ns / (double)LZ_NS_PER_SECOND, size_text(snapshot->tables).text);
	print_sums(inspection, &snapshot->total);
	printf(" %6s %8" PRIu64 "\n", signed_size_text(snapshot->other_tables).text,
		snapshot->total.mappings);
}
