/* Prints shared memory objects and what became of them; see print.h. */
#include "cli/collapse/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/common/clock.h"
#include "cli/common/display.h"
#include "cli/common/json.h"
#include "cli/process/process.h"

#define NAME_WIDTH 30u

static const char *const kinds[] = {
	[LZ_SHARED_ANONYMOUS] = "shared anonymous memory",
	[LZ_SHARED_SYSV] = "System V segment",
	[LZ_SHARED_MEMFD] = "memfd",
	[LZ_SHARED_FILE] = "file on tmpfs",
};

static struct lz_display size_text(uint64_t bytes)
{
	return lz_size_text_in(bytes, LZ_UNITS_AUTO);
}

/* "1 block", "2 blocks". */
static struct lz_display blocks_text(uint64_t count)
{
	struct lz_display display;

	snprintf(display.text, sizeof display.text, "%" PRIu64 " block%s", count, count == 1 ? "" : "s");
	return display;
}

static struct lz_display object_name(const struct lz_shared_object *object)
{
	struct lz_display display;

	switch (object->kind) {
	case LZ_SHARED_ANONYMOUS:
		snprintf(display.text, sizeof display.text, "anonymous, inode %" PRIu64, object->inode);
		return display;
	case LZ_SHARED_SYSV:
		snprintf(display.text, sizeof display.text, "System V segment %" PRIu64, object->inode);
		return display;
	default:
		return lz_printable_tail(object->name, NAME_WIDTH);
	}
}

/* Why not all of an object that is dense enough is collapsed, and what helps. */
static void print_problem(const struct lz_sharing *sharing, const struct lz_shared_object *object,
	const uint64_t counts[LZ_BLOCK_STATES])
{
	size_t all = lz_shared_object_sharers(sharing, object, false);
	size_t aligned = lz_shared_object_sharers(sharing, object, true);

	if (object->blocks == NULL)
		printf("      not examined: %s\n", object->problem);
	else if (counts[LZ_BLOCK_UNREACHABLE] > 0)
		printf("      %s left alone: %s\n", blocks_text(counts[LZ_BLOCK_UNREACHABLE]).text,
			object->problem);
	if (counts[LZ_BLOCK_SPARSE] > 0 &&
		(object->kind == LZ_SHARED_MEMFD || object->kind == LZ_SHARED_FILE))
		puts("      a memfd or file is collapsed where it is full; --file-density fills its holes");
	if (aligned == all)
		return;
	printf("      not aligned in %zu of %zu processes, which map it by small pages in any case\n",
		all - aligned, all);
	if (aligned == 0)
		puts("      Start the program under 'lazyzero run', which aligns shared memory.");
}

void lz_collapse_print_plan(const struct lz_sharing *sharing)
{
	printf("%5s %7s %7s %7s %6s %6s %6s %6s  %s\n", "PROCS", "SIZE", "FILLED", "BLOCKS", "HUGE", "DENSE",
		"SPARSE", "EMPTY", "OBJECT");
	for (size_t i = 0; i < sharing->object_count; i++) {
		const struct lz_shared_object *object = &sharing->objects[i];
		uint64_t counts[LZ_BLOCK_STATES] = {0}, pages = 0;

		lz_plan_count(object, counts, &pages);
		printf("%5zu %7s %7s %7zu %6" PRIu64 " %6" PRIu64 " %6" PRIu64 " %6" PRIu64 "  %s\n",
			lz_shared_object_sharers(sharing, object, false), size_text(object->size).text,
			object->blocks != NULL ? size_text(pages * sharing->page).text : "-",
			object->block_count, counts[LZ_BLOCK_HUGE],
			counts[LZ_BLOCK_DENSE] + counts[LZ_BLOCK_UNREACHABLE], counts[LZ_BLOCK_SPARSE],
			counts[LZ_BLOCK_EMPTY], object_name(object).text);
		print_problem(sharing, object, counts);
	}
}

static void print_work(const struct lz_collapse_work *work)
{
	printf("Collapsed %" PRIu64 " of %s in %.1f s, and filled %s of holes in them.\n", work->collapsed,
		blocks_text(work->planned).text, (double)work->elapsed_ns / (double)LZ_NS_PER_SECOND,
		lz_size_text(work->filled).text);
	if (work->changed > 0)
		printf("Changed before their turn came: %s.\n", blocks_text(work->changed).text);
	if (work->no_room > 0)
		printf("Left for lack of room: %s. 64 MiB, or 5%% if that is more, stay free of the file\n"
		       "system, the control group and the machine.\n",
			blocks_text(work->no_room).text);
	if (work->failed > work->no_room)
		printf("Failed three times: %s, whose pages are in use (O_DIRECT, splice), or for which\n"
		       "no huge page is free.\n",
			blocks_text(work->failed - work->no_room).text);
	if (work->no_huge_page)
		puts("It ended early: the kernel has no free huge page.");
}

void lz_collapse_print_result(const struct lz_collapse_work *work, bool dry_run)
{
	struct lz_shared_tables tables = lz_sharing_tables(work->sharing);

	if (work->planned == 0)
		puts("No block is to be collapsed.");
	else if (!dry_run)
		print_work(work);
	printf("Page tables of %zu process%s: %s", tables.processes, tables.processes == 1 ? "" : "es",
		lz_size_text(tables.before).text);
	if (!dry_run && work->planned > 0)
		printf(" before, %s after", lz_size_text(tables.after).text);
	if (!dry_run && tables.after > 0 && tables.before / 2 >= tables.after)
		printf(", %.1f times less", (double)tables.before / (double)tables.after);
	puts(".");
	if (tables.ended > 0)
		printf("%zu process%s ended meanwhile, and %s not counted.\n", tables.ended,
			tables.ended == 1 ? "" : "es", tables.ended == 1 ? "is" : "are");
}

static json_t *object_json(const struct lz_sharing *sharing, const struct lz_shared_object *object)
{
	static const char *const states[LZ_BLOCK_STATES] = {
		[LZ_BLOCK_EMPTY] = "empty",
		[LZ_BLOCK_SPARSE] = "sparse",
		[LZ_BLOCK_DENSE] = "dense",
		[LZ_BLOCK_HUGE] = "huge",
		[LZ_BLOCK_UNREACHABLE] = "left_alone",
		[LZ_BLOCK_COLLAPSED] = "collapsed",
		[LZ_BLOCK_CHANGED] = "changed",
	};
	uint64_t counts[LZ_BLOCK_STATES] = {0}, pages = 0;
	json_t *json = json_object(), *blocks = json_object();

	lz_plan_count(object, counts, &pages);
	for (size_t i = 0; i < LZ_BLOCK_STATES; i++)
		json_object_set_new(blocks, states[i], lz_json_number(counts[i]));
	json_object_set_new(json, "kind", json_string(kinds[object->kind]));
	json_object_set_new(json, "name", lz_json_string(object->name));
	json_object_set_new(json, "inode", lz_json_number(object->inode));
	json_object_set_new(json, "bytes", lz_json_number(object->size));
	json_object_set_new(json, "filled_bytes",
		lz_json_number(object->blocks != NULL ? pages * sharing->page : LZ_UNKNOWN));
	json_object_set_new(
		json, "processes", lz_json_number(lz_shared_object_sharers(sharing, object, false)));
	json_object_set_new(
		json, "aligned_processes", lz_json_number(lz_shared_object_sharers(sharing, object, true)));
	json_object_set_new(json, "blocks", object->blocks != NULL ? blocks : json_null());
	if (object->blocks == NULL)
		json_decref(blocks);
	json_object_set_new(json, "problem", lz_json_string(object->problem));
	return json;
}

int lz_collapse_print_json(const struct lz_collapse_work *work, bool dry_run)
{
	struct lz_shared_tables tables = lz_sharing_tables(work->sharing);
	json_t *json = json_object(), *objects = json_array();

	for (size_t i = 0; i < work->sharing->object_count; i++)
		json_array_append_new(objects, object_json(work->sharing, &work->sharing->objects[i]));
	json_object_set_new(json, "block_bytes", lz_json_number(work->sharing->block));
	json_object_set_new(json, "objects", objects);
	json_object_set_new(json, "dry_run", json_boolean(dry_run));
	json_object_set_new(json, "planned_blocks", lz_json_number(work->planned));
	json_object_set_new(json, "collapsed_blocks", lz_json_number(work->collapsed));
	json_object_set_new(json, "failed_blocks", lz_json_number(work->failed));
	json_object_set_new(json, "no_room_blocks", lz_json_number(work->no_room));
	json_object_set_new(json, "filled_bytes", lz_json_number(work->filled));
	json_object_set_new(json, "processes", lz_json_number(tables.processes));
	json_object_set_new(json, "ended_processes", lz_json_number(tables.ended));
	json_object_set_new(json, "page_tables_before_bytes", lz_json_number(tables.before));
	json_object_set_new(json, "page_tables_after_bytes", lz_json_number(tables.after));
	return lz_json_print(json);
}
