/* Memory that a program maps over freed blocks: it must not be disturbed, whatever was cached there. */
#include "blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lazyzero.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define MOST (4 * MB)
#define GRAIN (64 * KB)
/* A raw call is noticed in the first eight pieces of a region on a window. */
#define NOTICED (8 * MB)

extern __typeof__(lz_region_info) lz_region_info __attribute__((weak));

static uint64_t word_of(const struct overlay *overlay, size_t offset)
{
	return (overlay->stamp + offset) * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

/* The file of a thread; its contents never change, so that forked children may check it too. */
static int file_of(struct worker *worker)
{
	struct overlay whole = {.length = MOST};
	int file = worker->blocks->overlay_file - 1;

	if (file >= 0)
		return file;
	file = memfd_create("fuzz-overlay", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, MOST) != 0)
		fail(worker, "no file to map");
	for (size_t at = 0; at < MOST; at += GRAIN) {
		uint64_t word = word_of(&whole, at);

		if (pwrite(file, &word, sizeof word, (off_t)at) != sizeof word)
			fail(worker, "a file cannot be written");
	}
	worker->blocks->overlay_file = file + 1;
	return file;
}

static void check(struct worker *worker, const struct overlay *overlay)
{
	for (size_t at = 0; overlay->at != NULL && at < overlay->length; at += GRAIN) {
		uint64_t value = 0;

		if (load(overlay->at + at, &value) != 0 || value != word_of(overlay, at))
			fail(worker,
				"what was mapped at %p over a freed block holds %#lx at %#zx, expected %#lx",
				(void *)overlay->at, value, at, word_of(overlay, at));
	}
}

static void end(struct worker *worker, struct overlay *overlay)
{
	check(worker, overlay);
	if (overlay->at != NULL && munmap(overlay->at, overlay->length) != 0)
		fail(worker, "the mapping over a freed block cannot be unmapped: %d", errno);
	overlay->at = NULL;
}

/* Since Linux 6.11 the library notices mappings made by raw calls. */
static bool raw_calls_are_noticed(void)
{
	struct utsname system;
	int major = 0, minor = 0;

	return uname(&system) == 0 && sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 11));
}

/*
 * Uses MAP_FIXED only if nobody else can have got the address: a single thread, and a block that was not on
 * the C library's heap. Otherwise asks for the address, and gets it if it is free.
 */
void do_overlay(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	struct overlay *overlay = &worker->blocks->overlay[record->b % OVERLAYS];
	bool alone = worker->threads == 1, of_file = record->b >> 3 & 1, raw = record->b >> 4 & 1;
	int flags = of_file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file = of_file ? file_of(worker) : -1;
	struct lz_region region;
	size_t size, pages, from, length;
	char *start, *at;

	end(worker, overlay);
	if (block->p == NULL || block->size < 2 * PAGE)
		return;
	size = block->size;
	start = (char *)(((uintptr_t)block->p + PAGE - 1) & ~(PAGE - 1));
	alone = alone && lz_region_info != NULL && lz_region_info(block->p, &region) == 0;
	raw = raw && alone && size <= NOTICED && raw_calls_are_noticed();
	pages = (size - (size_t)(start - block->p)) / PAGE;
	from = record->t % 4 == 0 ? 0 : record->x % pages;
	length = (record->t % 4 == 1 ? pages - from : 1 + record->y % (pages - from)) * PAGE;
	length = length < MOST ? length : MOST;
	flags |= alone ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	block_free(worker, block);
	at = raw ? (char *)raw_map(start + from * PAGE, length, PROT_READ | PROT_WRITE, flags, file, 0)
		 : mmap(start + from * PAGE, length, PROT_READ | PROT_WRITE, flags, file, 0);
	trace(worker, "mmap(%p, %#zx, %#x) over what was freed, %s, = %p", (void *)(start + from * PAGE),
		length, flags, raw ? "raw" : "by name", (void *)at);
	if (at == MAP_FAILED) {
		if (!(errno == EEXIST && !alone) && !was_refused(length, -1, errno))
			fail(worker, "freed memory cannot be mapped over: %d", errno);
		return;
	}
	if (at != start + from * PAGE)
		fail(worker, "mapped at %p, not over %p", (void *)at, (void *)(start + from * PAGE));
	worker->blocks->stamp += THREADS_MAX;
	*overlay = (struct overlay){at, length, of_file ? 0 : worker->blocks->stamp};
	for (size_t offset = 0; !of_file && offset < length; offset += GRAIN) {
		uint64_t *word = (uint64_t *)(at + offset);

		if (*(volatile uint64_t *)word != 0)
			fail(worker, "the mapping at %p is not zero at %#zx", (void *)at, offset);
		*(volatile uint64_t *)word = word_of(overlay, offset);
	}
	if (!of_file)
		note_dirty(at, at + length);
	check(worker, overlay);
}

void overlays_check(struct worker *worker)
{
	for (unsigned i = 0; i < OVERLAYS; i++)
		check(worker, &worker->blocks->overlay[i]);
}

void overlays_end(struct worker *worker)
{
	for (unsigned i = 0; i < OVERLAYS; i++)
		end(worker, &worker->blocks->overlay[i]);
	if (worker->blocks->overlay_file != 0)
		close(worker->blocks->overlay_file - 1);
	worker->blocks->overlay_file = 0;
}
