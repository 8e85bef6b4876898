/*
 * Passes blocks of the standard functions to the additional functions of allocators (dallocx, mi_free,
 * tc_free, __libc_free), as a program does that knows its allocator, and passes the allocator's own blocks to
 * them. Prints a line for each function that exists, the same with and without lazyzero; fails with a message
 * if a block is damaged. With "served" as its argument, large blocks of malloc must have been served by
 * lazyzero, and no region may be left at the end.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocator_functions.h"
#include "lazyzero.h"

/* jemalloc(3) */
extern WEAK void *mallocx(size_t, int);
extern WEAK void dallocx(void *, int);
extern WEAK void sdallocx(void *, size_t, int);
extern WEAK void *rallocx(void *, size_t, int);
extern WEAK size_t xallocx(void *, size_t, size_t, int);
extern WEAK size_t sallocx(const void *, int);
#define ALIGN_64 6
#define ALIGN_64K 16
#define ZERO 0x40

/* mimalloc.h */
extern WEAK void mi_free(void *);
extern WEAK void *mi_reallocf(void *, size_t);

/* gperftools/tcmalloc.h */
extern WEAK void *tc_malloc(size_t);
extern WEAK void tc_free(void *);
extern WEAK void tc_cfree(void *);
extern WEAK void tc_free_sized(void *, size_t);
extern WEAK size_t tc_malloc_size(void *);
extern WEAK void *tc_realloc(void *, size_t);

/* The C library */
extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
extern void *__libc_realloc(void *, size_t);

/* lazyzero */
extern WEAK int lz_stats(struct lz_statistics *, size_t);

#define MIB ((size_t)1 << 20)
#define LARGE (36 * MIB) /* from 32 MiB on, lazyzero serves malloc */

static int failures;

static void complain(const char *what, const char *why, size_t n)
{
	fprintf(stderr, "%s: %s (%zu)\n", what, why, n);
	failures++;
}

static uint64_t regions(void)
{
	struct lz_statistics statistics;

	return lz_stats != NULL && lz_stats(&statistics, sizeof statistics) == 0 ? statistics.regions : 0;
}

/* Marks the first and last byte of every MiB, and the last byte. */
static void mark(unsigned char *p, size_t size)
{
	for (size_t at = 0; at < size; at += MIB)
		p[at] = (unsigned char)(1 + at / MIB);
	p[size - 1] = 0xee;
}

static void check_contents(const char *what, const unsigned char *p, size_t size, size_t new_size)
{
	if (p == NULL) {
		complain(what, "no block", new_size);
		return;
	}
	for (size_t at = 0; at < size && at < new_size; at += MIB)
		if (p[at] != (unsigned char)(1 + at / MIB) && at != size - 1)
			complain(what, "contents lost", at);
	if (size <= new_size && p[size - 1] != 0xee)
		complain(what, "last byte lost", size);
}

static void check_zero(const char *what, const unsigned char *p, size_t from, size_t to)
{
	for (size_t at = from; p != NULL && at < to; at += at + 2048 < to ? 1031 : 1)
		if (p[at] != 0) {
			complain(what, "no zero", at);
			return;
		}
}

/* --- sources of blocks --- */

static void *by_calloc(size_t size)
{
	return calloc(1, size);
}
static void *by_page(size_t size)
{
	return aligned_alloc(4096, size);
}
static void *by_block(size_t size)
{
	return aligned_alloc(2 * MIB, size);
}
static void *by_mallocx(size_t size)
{
	return mallocx(size, 0);
}

static const size_t sizes[] = {1, 100, 5000, 3 * MIB, LARGE, LARGE + 12345};

/* --- operations: each function adapted to the type of its kind --- */

static void free_dallocx(void *p, size_t size)
{
	(void)size;
	dallocx(p, 0);
}
static void free_sdallocx(void *p, size_t size)
{
	sdallocx(p, size, 0);
}
static void free_tc_free(void *p, size_t size)
{
	(void)size;
	tc_free(p);
}
static void free_tc_cfree(void *p, size_t size)
{
	(void)size;
	tc_cfree(p);
}
static void free_tc_free_sized(void *p, size_t size)
{
	tc_free_sized(p, size);
}
static void free_libc(void *p, size_t size)
{
	(void)size;
	__libc_free(p);
}

static size_t size_sallocx(void *p)
{
	return sallocx(p, 0);
}
static size_t size_tc(void *p)
{
	return tc_malloc_size(p);
}

static void *resize_rallocx(void *p, size_t size)
{
	return rallocx(p, size, 0);
}
static void *resize_rallocx_zero(void *p, size_t size)
{
	return rallocx(p, size, ZERO);
}
static void *resize_rallocx_64(void *p, size_t size)
{
	return rallocx(p, size, ALIGN_64);
}
static void *resize_rallocx_64K(void *p, size_t size)
{
	return rallocx(p, size, ALIGN_64K | ZERO);
}
static void use(const struct function *function, const char *source, unsigned char *p, size_t size)
{
	char what[100];

	snprintf(what, sizeof what, "%s of %s(%zu)", function->name, source, size);
	if (p == NULL) {
		complain(what, "no block", size);
		return;
	}
	mark(p, size);
	if (function->size != NULL) {
		if (function->size(p) < (strstr(function->name, "expand") == NULL ? size : 1))
			complain(what, "a size below the requested one", function->size(p));
		check_contents(what, p, size, size);
	}
	for (size_t i = 0; function->resize != NULL && i < sizeof sizes / sizeof *sizes; i++) {
		size_t new_size = sizes[(i * 5 + 3) % (sizeof sizes / sizeof *sizes)];
		size_t usable = malloc_usable_size(p);

		p = function->resize(p, new_size);
		check_contents(what, p, size, new_size);
		if (p == NULL)
			return;
		if (function->alignment != 0 && (uintptr_t)p % function->alignment != 0)
			complain(what, "not aligned", new_size);
		if (function->zeroes && usable < new_size)
			check_zero(what, p, usable, new_size);
		size = new_size;
		mark(p, size);
	}
	if (function->release != NULL)
		function->release(p, size);
	else
		free(p);
	if (dlerror() != NULL)
		complain(what, "its search that found nothing shows in dlerror", 0);
}

static void try_family(const struct family *family)
{
	/* Standard sources, and the allocator's own, which only programs with that allocator have. */
	const struct source sources[] = {{"2 MiB", by_block}, {"page", by_page}, {"malloc", malloc},
		{"calloc", by_calloc}, family->own};
	const size_t count = sizeof sources / sizeof *sources - (family->own.make == NULL);

	for (const struct function *function = family->functions; function->name != NULL; function++) {
		if (!function->present)
			continue;
		bool resizes = function->resize != NULL && function->alignment == 0;

		for (size_t s = function->sized || resizes ? 2 : 0;
			s < (function->alignment != 0 ? 1 : count); s++)
			for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
				use(function, sources[s].name, sources[s].make(sizes[i]), sizes[i]);
		/*
		 * If the allocator's function is missing, the source is missing, as in a run without
		 * lazyzero.
		 */
		if (family->own.make != NULL)
			printf("%s\n", function->name);
	}
}

static void try_all(void)
{
	const struct family families[] = {
		{.own = {"mallocx", mallocx != NULL ? by_mallocx : NULL},
			.functions = {FREES(dallocx, free_dallocx, .sized = false),
				FREES(sdallocx, free_sdallocx, .sized = true), TELLS(sallocx, size_sallocx),
				RESIZES(rallocx, resize_rallocx, .zeroes = false),
				RESIZES(rallocx, resize_rallocx_zero, .zeroes = true),
				RESIZES(rallocx, resize_rallocx_64, .alignment = 64),
				RESIZES(rallocx, resize_rallocx_64K, .alignment = 65536, .zeroes = true)}},
		{.own = {"tc_malloc", tc_malloc},
			.functions = {FREES(tc_free, free_tc_free, .sized = false),
				FREES(tc_cfree, free_tc_cfree, .sized = false),
				FREES(tc_free_sized, free_tc_free_sized, .sized = true),
				TELLS(tc_malloc_size, size_tc),
				RESIZES(tc_realloc, tc_realloc, .zeroes = false)}},
		/* With jemalloc these are the C library's, whose blocks are not those of malloc. */
		{.own = {"__libc_malloc", mallocx == NULL ? __libc_malloc : NULL},
			.functions = {{.name = "__libc_free",
					      .present = mallocx == NULL,
					      .release = free_libc},
				{.name = "__libc_realloc",
					.present = mallocx == NULL,
					.resize = __libc_realloc}}},
	};

	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		try_family(&families[i]);
	each_mimalloc_family(try_family);
}

/* Resident bytes. */
static size_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	if (file == NULL || fscanf(file, "%*u %zu", &pages) != 1)
		pages = 0;
	if (file != NULL)
		fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Cached memory is released when the program asks for it. */
static void trim(void)
{
	unsigned char *p = malloc(LARGE);
	size_t full;

	for (size_t at = 0; at < LARGE; at += 4096)
		p[at] = 1;
	full = resident();
	free(p);
	malloc_trim(0);
	if (full != 0 && resident() + LARGE / 2 > full)
		complain("malloc_trim", "a freed block is still in memory", resident());
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "twice") == 0) {
		void *p = malloc(LARGE);

		mi_free(p);
		dallocx(p, 0);
		return 0;
	}
	bool served = argc > 1 && strcmp(argv[1], "served") == 0;
	uint64_t before = regions();
	void *block = malloc(LARGE);

	if (served && regions() != before + 1)
		complain("malloc", "a large block was not served", (size_t)regions());
	free(block);
	try_all();
	if (xallocx != NULL && mallocx != NULL) {
		unsigned char *p = malloc(LARGE);

		if (xallocx(p, LARGE, 0, 0) < LARGE)
			complain("xallocx", "smaller than it was", xallocx(p, LARGE, 0, 0));
		dallocx(p, 0);
	}
	/* With size 0 it frees like realloc, and not a second time. */
	if (mi_reallocf != NULL)
		mi_free(mi_reallocf(malloc(LARGE), 0));
	if (served)
		trim();
	if (regions() != before)
		complain("at the end", "regions are left", (size_t)(regions() - before));
	return failures != 0;
}
