/* Sees what a shared memory object holds; see view.h. */
#include "cli/collapse/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/collapse/object_file.h"
#include "cli/process/proc_stat.h"
#include "os/collapse.h"
#include "os/mman.h"
#include "os/pagemap.h"

/* An offset that lies beyond every file of the objects, which are shorter than the address space. */
#define BEYOND_END (INT64_C(1) << 56)

static intptr_t map(const struct lz_view *view, uint64_t length, int64_t offset)
{
	return lz_os_linux.mmap(
		(void *)view->at, length, PROT_READ, MAP_SHARED | MAP_FIXED, view->fd, offset);
}

/*
 * mincore(2) says that all pages are present if the caller neither owns the file nor may write to it
 * (can_do_mincore in mm/mincore.c); then also a page beyond the end of the file, where there can be none.
 */
static bool mincore_is_honest(const struct lz_view *view)
{
	uint64_t pages = 1;

	return !lz_os_failed(map(view, view->sharing->page, BEYOND_END)) &&
	       lz_collapse_count_pages(&lz_os_linux, (uintptr_t)view->at, view->sharing->page, &pages) == 0 &&
	       pages == 0;
}

static int open_object(struct lz_view *view)
{
	view->at = lz_collapse_reserve(&lz_os_linux, view->sharing->block, view->sharing->block);
	if (lz_os_failed(view->at))
		return (int)view->at;
	view->fd = lz_object_file_open(view->sharing, view->object);
	if (view->fd >= 0 && mincore_is_honest(view))
		return 0;
	if (view->fd >= 0)
		close(view->fd);
	view->fd = -1;
	return -EACCES;
}

static int open_pagemaps(struct lz_view *view)
{
	const struct lz_sharing *sharing = view->sharing;
	char path[PATH_MAX];
	int error = -EACCES;

	view->pagemaps = calloc(sharing->sharer_count, sizeof *view->pagemaps);
	view->seen = calloc(sharing->block / sharing->page, 1);
	if (view->pagemaps == NULL || view->seen == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sharing->sharer_count; i++)
		view->pagemaps[i] = -1;
	for (size_t i = 0; i < view->object->mapping_count; i++) {
		size_t sharer = view->object->mappings[i].sharer;

		if (view->pagemaps[sharer] >= 0)
			continue;
		lz_proc_path(path, "", sharing->sharers[sharer].pid, "pagemap");
		view->pagemaps[sharer] = open(path, O_RDONLY | O_CLOEXEC);
		if (view->pagemaps[sharer] >= 0)
			error = 0;
	}
	return error;
}

int lz_view_open(
	struct lz_view *view, const struct lz_sharing *sharing, const struct lz_shared_object *object)
{
	*view = (struct lz_view){.sharing = sharing, .object = object, .fd = -1, .at = -ENOMEM};
	return open_object(view) == 0 ? 0 : open_pagemaps(view);
}

void lz_view_close(struct lz_view *view)
{
	for (size_t i = 0; view->pagemaps != NULL && i < view->sharing->sharer_count; i++)
		if (view->pagemaps[i] >= 0)
			close(view->pagemaps[i]);
	if (view->fd >= 0)
		close(view->fd);
	if (!lz_os_failed(view->at))
		lz_os_linux.munmap((void *)view->at, view->sharing->block);
	free(view->pagemaps);
	free(view->seen);
	*view = (struct lz_view){.fd = -1, .at = -ENOMEM};
}

size_t lz_view_next(const struct lz_view *view, size_t block)
{
	off_t offset = (off_t)(block * view->sharing->block);

	if (block >= view->object->block_count)
		return SIZE_MAX;
	if (view->fd < 0)
		return block;
	offset = lseek(view->fd, offset, SEEK_DATA);
	if (offset < 0)
		return errno == ENXIO ? SIZE_MAX : block;
	block = (size_t)((uint64_t)offset / view->sharing->block);
	return block < view->object->block_count ? block : SIZE_MAX;
}

static void note_huge(void *context, const struct lz_page_run *run)
{
	bool *huge = context;

	*huge = *huge || run->huge;
}

/*
 * Reading one page of a full block makes the kernel map the whole block by one entry if it is a huge page.
 * MADV_POPULATE_READ reads it without a signal if the file has been truncated.
 */
static bool full_block_is_huge(const struct lz_view *view)
{
	uintptr_t at = (uintptr_t)view->at;
	bool huge = false;

	if (lz_os_linux.madvise((void *)at, view->sharing->page, MADV_POPULATE_READ) == 0)
		lz_pagemap_walk(&lz_os_linux, at, at + view->sharing->page, note_huge, &huge);
	return huge;
}

/* The pages of one block that one mapping shows. */
struct block_pages {
	uint64_t start; /* address of the block's first page in that mapping */
	uint64_t page;
	uint8_t *seen;
	uint64_t count;
	bool huge;
};

static void note_pages(void *context, const struct lz_page_run *run)
{
	struct block_pages *pages = context;

	if (run->not_present)
		return;
	pages->huge = pages->huge || run->huge;
	for (uint64_t at = run->start; at < run->end; at += pages->page) {
		uint8_t *seen = &pages->seen[(at - pages->start) / pages->page];

		pages->count += !*seen;
		*seen = 1;
	}
}

static int count_mapped(const struct lz_view *view, size_t block, uint64_t *count, bool *huge)
{
	uint64_t size = view->sharing->block, offset = block * size;
	struct block_pages pages = {.page = view->sharing->page, .seen = view->seen};
	int error = 0;

	memset(view->seen, 0, size / view->sharing->page);
	for (size_t i = 0; i < view->object->mapping_count; i++) {
		const struct lz_shared_mapping *mapping = &view->object->mappings[i];
		uint64_t end = mapping->offset + (mapping->end - mapping->start);
		uint64_t from = lz_max_u64(offset, mapping->offset), to = lz_min_u64(offset + size, end);

		if (from >= to || view->pagemaps[mapping->sharer] < 0)
			continue;
		pages.start =
			mapping->start + offset - mapping->offset; /* may wrap, as the difference does */
		error = lz_pagemap_walk_of(&lz_os_linux, view->pagemaps[mapping->sharer],
			mapping->start + (from - mapping->offset), mapping->start + (to - mapping->offset),
			note_pages, &pages);
		if (error == -ENOTTY)
			return error;
	}
	*count = pages.count;
	*huge = pages.huge;
	return 0;
}

int lz_view_block(const struct lz_view *view, size_t block, uint64_t *pages, bool *huge)
{
	uint64_t size = view->sharing->block;
	intptr_t mapped;
	int error;

	*pages = 0;
	*huge = false;
	if (view->fd < 0)
		return count_mapped(view, block, pages, huge);
	mapped = map(view, size, (int64_t)(block * size));
	if (lz_os_failed(mapped))
		return (int)mapped;
	error = lz_collapse_count_pages(&lz_os_linux, (uintptr_t)view->at, size, pages);
	if (error == 0 && *pages == size / view->sharing->page)
		*huge = full_block_is_huge(view);
	return error;
}

int lz_view_collapse(const struct lz_view *view, size_t block)
{
	uint64_t size = view->sharing->block;
	intptr_t mapped = map(view, size, (int64_t)(block * size));
	int error;

	if (lz_os_failed(mapped))
		return (int)mapped;
	lz_collapse_block(&lz_os_linux, (uintptr_t)view->at, size, &error);
	return error;
}
