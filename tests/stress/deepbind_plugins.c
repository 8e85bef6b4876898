/*
 * Blocks that cross between the program and a plugin that is bound to the C library's own malloc
 * (RTLD_DEEPBIND), in several threads at once: what the plugin frees goes behind the library's back, and
 * another thread may have the address at once.
 */
#include "marks.h"
#include "deepbind_plugin.h"
#include "stress.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 3u
#define BLOCKS 6u

static const struct stress_plugin *plugin;
static uint64_t wanted;

static void mark(struct block *block)
{
	block->number = new_number();
	set_marks(block->p, block->size, block->number);
}

static size_t some_size(uint64_t *state)
{
	return 128 * KB + next_random(state) % (3 * MB);
}

/* By the program or by the plugin, whatever there is. */
static void make_some_block(struct block *block, uint64_t *state)
{
	static const size_t alignments[] = {64, 4096, 64 * KB};
	unsigned how = next_random(state) % 8;

	block->size = some_size(state);
	switch (how) {
	case 0:
		block->p = plugin->calloc(1, block->size);
		break;
	case 1:
		block->p = plugin->malloc(block->size);
		break;
	case 2:
		block->p = plugin->memalign(alignments[next_random(state) % 3], block->size);
		break;
	case 3:
		block->p = memalign(alignments[next_random(state) % 3], block->size);
		break;
	case 4:
		block->p = malloc(block->size);
		break;
	default:
		block->p = calloc(1, block->size);
	}
	if (!CHECK(block->p != NULL))
		return;
	if (how == 0 || how > 4)
		CHECK(is_zero(block->p, block->size));
	mark(block);
}

static void resize(struct block *block, uint64_t *state)
{
	size_t size = some_size(state), kept = size < block->size ? size : block->size;
	char *p = next_random(state) % 2 ? plugin->realloc(block->p, size) : realloc(block->p, size);

	if (!CHECK(p != NULL))
		return;
	block->p = p;
	block->size = size;
	CHECK(has_marks(p, kept, block->number));
	mark(block);
}

static void measure(struct block *block, uint64_t *state)
{
	size_t size = next_random(state) % 2 ? plugin->size(block->p) : malloc_usable_size(block->p);

	if (!CHECK(size >= block->size && size < block->size + 2 * MB))
		return;
	block->p[size - 1] = 1;
}

static void give_back(struct block *block, uint64_t *state)
{
	CHECK(is_whole(block));
	if (next_random(state) % 2)
		plugin->free(block->p);
	else
		free(block->p);
	block->p = NULL;
}

static void *use_plugin(void *seed)
{
	struct block blocks[BLOCKS];
	uint64_t state = (uintptr_t)seed;

	memset(blocks, 0, sizeof blocks);
	while (rounds_done() < wanted && !failed()) {
		struct block *block = &blocks[next_random(&state) % BLOCKS];

		if (block->p == NULL) {
			make_some_block(block, &state);
			continue;
		}
		CHECK(is_whole(block));
		if (next_random(&state) % 3 == 0)
			resize(block, &state);
		if (next_random(&state) % 4 == 0)
			measure(block, &state);
		if (next_random(&state) % 2 == 0)
			give_back(block, &state);
		progress();
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].p != NULL)
			give_back(&blocks[i], &state);
	return NULL;
}

void run_plugins(uint64_t rounds)
{
	pthread_t threads[THREADS];
	char name[512];
	void *handle;

	snprintf(name, sizeof name, "%s/plugin.so", getenv("STRESS_LIBRARIES"));
	handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	if (!CHECK(handle != NULL)) {
		fprintf(stderr, "%s\n", dlerror());
		return;
	}
	plugin = dlsym(handle, "stress_plugin");
	/* Each is a step of some microseconds. */
	wanted = rounds * 16;
	start_allocating(1);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, use_plugin, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	stop_allocating();
}
