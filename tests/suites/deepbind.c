/*
 * Blocks that cross between the program and a plugin whose references are bound directly to glibc's malloc.
 *
 *   deepbind PLUGIN deepbind|namespace|libc CHECK BYTES
 *
 * Prints what the check found, which must be the same with and without lazyzero. "namespace" opens the plugin
 * by dlmopen with a libc of its own, whose malloc recognises its mmapped chunks only by their header; "libc"
 * calls __libc_free and the like directly.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "deepbind.h"

#define MIB ((size_t)1 << 20)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static const struct deepbind_plugin direct = {
	.free = __libc_free,
	.realloc = __libc_realloc,
	.reallocarray = reallocarray,
	.malloc_usable_size = malloc_usable_size,
	.malloc = __libc_malloc,
	.calloc = __libc_calloc,
	.memalign = __libc_memalign,
};

static const struct deepbind_plugin *plugin;
static size_t size;

static void check(int line, int holds)
{
	if (!holds)
		printf("line %d: wrong\n", line);
}
#define CHECK(condition) check(__LINE__, condition)

/* Fills each MiB with another value than its neighbours. */
static void fill(char *p, size_t length)
{
	for (size_t at = 0; at < length; at += MIB / 2)
		p[at] = (char)(at / MIB * 7 + 1);
	p[length - 1] = 99;
}

static int holds(const char *p, size_t length, size_t whole)
{
	for (size_t at = 0; at < length; at += MIB / 2)
		if (p[at] != (char)(at / MIB * 7 + 1) && at != whole - 1)
			return 0;
	return length < whole || p[whole - 1] == 99;
}

static int is_zero(const char *p, size_t length)
{
	for (size_t at = 0; at < length; at += 65536)
		if (p[at] != 0)
			return 0;
	return 1;
}

static char *filled(void)
{
	char *p = calloc(1, size);

	CHECK(p != NULL && is_zero(p, size));
	fill(p, size);
	return p;
}

/* The pages are released, and other blocks use the addresses before and after the library notices. */
static void frees(void)
{
	for (int round = 0; round < 8; round++) {
		char *p = filled();
		unsigned char there;

		plugin->free(p);
		/* glibc itself unmaps such a block at once. */
		if (size >= 32 * MIB && plugin != &direct)
			CHECK(mincore((void *)(((uintptr_t)p | 4095) + 1), 4096, &there) == -1 &&
				errno == ENOMEM);
		p = mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED && is_zero(p, size));
		fill(p, size);
		free(calloc(1, size + MIB));
		CHECK(holds(p, size, size));
		munmap(p, size);
	}
}

static void grows(void)
{
	char *p = plugin->realloc(filled(), 2 * size);

	CHECK(p != NULL && holds(p, size, size));
	if (p == NULL)
		return;
	p[2 * size - 1] = 3;
	p = plugin->realloc(p, 4 * size);
	CHECK(p != NULL && holds(p, size, size) && p[2 * size - 1] == 3);
	p = realloc(p, 5 * size);
	CHECK(p != NULL && holds(p, size, size) && p[2 * size - 1] == 3);
	free(p);
	p = plugin->reallocarray(filled(), 3, size);
	CHECK(p != NULL && holds(p, size, size));
	plugin->free(p);
}

static void shrinks(void)
{
	char *p = plugin->realloc(filled(), size / 2);

	CHECK(p != NULL && holds(p, size / 2, size));
	free(p);
	p = plugin->realloc(filled(), size - 4096);
	CHECK(p != NULL && holds(p, size - 4096, size));
	p = realloc(p, size);
	CHECK(p != NULL && holds(p, size - 4096, size));
	p = plugin->realloc(p, 100);
	CHECK(p != NULL && p[0] == 1);
	plugin->free(p);
}

static void tells_size(void)
{
	char *p = filled();
	size_t usable = plugin->malloc_usable_size(p);

	CHECK(usable >= size && usable < size + size / 4 + MIB);
	memset(p + size, 5, usable - size);
	CHECK(holds(p, size, size));
	free(p);
}

static void frees_aligned(void)
{
	for (size_t alignment = 16; alignment <= 4 * MIB; alignment *= 4) {
		void *p = NULL;

		CHECK(posix_memalign(&p, alignment < sizeof p ? sizeof p : alignment, size) == 0);
		CHECK((uintptr_t)p % alignment == 0);
		fill(p, size);
		plugin->free(p);
		p = memalign(alignment, size);
		CHECK((uintptr_t)p % alignment == 0);
		fill(p, size);
		p = plugin->realloc(p, size + size / 2);
		CHECK(p != NULL && holds(p, size, size));
		free(p);
	}
	plugin->free(aligned_alloc(4096, size / 4096 * 4096));
	plugin->free(valloc(size));
	plugin->free(malloc(size));
}

/* The other direction: blocks of the plugin's allocator. */
static void takes(void)
{
	char *p = plugin->malloc(size);

	fill(p, size);
	CHECK(malloc_usable_size(p) >= size);
	p = realloc(p, 2 * size);
	CHECK(holds(p, size, size));
	free(p);
	free(plugin->calloc(16, size / 16));
	free(plugin->memalign(4096, size));
	p = plugin->calloc(1, size);
	CHECK(is_zero(p, size));
	fill(p, size);
	p = realloc(p, size / 2);
	CHECK(holds(p, size / 2, size));
	plugin->free(p);
	if (plugin->copy != NULL) {
		p = filled();
		free(plugin->copy(p, size));
		free(p);
	}
}

/* Blocks resized by one allocator and freed by the other, cached, and reused. */
static void mixes(void)
{
	char *blocks[8];

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 8; i++)
			blocks[i] = filled();
		for (size_t i = 0; i < 8; i++)
			if (i % 2)
				free(blocks[i]);
			else
				plugin->free(blocks[i]);
		for (size_t i = 0; i < 8; i++) {
			blocks[i] = filled();
			for (size_t j = 0; j < i; j++)
				CHECK(blocks[i] + size <= blocks[j] || blocks[j] + size <= blocks[i]);
		}
		for (size_t i = 0; i < 8; i++) {
			CHECK(holds(blocks[i], size, size));
			plugin->free(plugin->realloc(blocks[i], size + (i + 1) * MIB));
		}
	}
}

/* Page-aligned blocks of the plugin's allocator, at the address of a region that the plugin freed. */
static void reuses(void)
{
	char *p = filled(), *blocks[32];

	plugin->free(p);
	for (size_t i = 0; i < 32; i++) {
		blocks[i] = plugin->memalign(65536, size / 8);
		fill(blocks[i], size / 8);
	}
	for (size_t i = 0; i < 32; i++) {
		CHECK(malloc_usable_size(blocks[i]) >= size / 8);
		if (i % 2)
			blocks[i] = realloc(blocks[i], size / 4);
		CHECK(holds(blocks[i], size / 8, size / 8));
		free(blocks[i]);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {{"frees", frees}, {"grows", grows}, {"shrinks", shrinks}, {"tells-size", tells_size},
	{"frees-aligned", frees_aligned}, {"takes", takes}, {"mixes", mixes}, {"reuses", reuses}};

int main(int argc, char **argv)
{
	void *handle;

	if (argc != 5)
		return 2;
	size = strtoull(argv[4], NULL, 0);
	if (strcmp(argv[2], "libc") == 0) {
		plugin = &direct;
	} else {
		handle = strcmp(argv[2], "namespace") == 0
				 ? dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW)
				 : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
		if (handle == NULL) {
			printf("%s\n", dlerror());
			return 2;
		}
		plugin = dlsym(handle, "deepbind_plugin");
	}
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
		if (strcmp(checks[i].name, argv[3]) == 0) {
			checks[i].run();
			printf("%s: done\n", argv[3]);
			return 0;
		}
	return 2;
}
