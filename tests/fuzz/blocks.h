/* Blocks of the malloc family, and their expected contents. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "worker.h"

#define SLOTS 32
#define EXTENTS 24
#define ZEROS UINT64_C(0)
#define UNKNOWN UINT64_C(1) /* contents of malloc */

/* A range of a block, in bytes, with one pattern; later ranges override earlier ones. */
struct extent {
	size_t from, to;
	uint64_t stamp;
};

struct block {
	char *p;
	size_t size;
	bool from_c_library; /* too small for lazyzero when it was allocated; realloc keeps it there */
	unsigned extents;    /* the first covers the whole block */
	struct extent extent[EXTENTS];
};

/* What was mapped over the addresses of a freed block. */
struct overlay {
	char *at; /* NULL: nothing */
	size_t length;
	uint64_t stamp;
};

#define OVERLAYS 4

struct blocks {
	struct block slot[SLOTS];
	uint64_t stamp, state;
	struct overlay overlay[OVERLAYS];
	int overlay_file; /* its descriptor plus 1; 0: none yet */
	pid_t child;      /* a child that lives on; 0: none */
};

void overlays_check(struct worker *worker);
void overlays_end(struct worker *worker);
void wait_for_child(struct worker *worker);

struct block *block_of(struct worker *worker, const struct record *record);
void block_new(struct worker *worker, struct block *block, void *p, size_t size, uint64_t stamp);
void block_free(struct worker *worker, struct block *block);
void block_resized(struct block *block, void *p, size_t size);
bool block_add(struct block *block, size_t from, size_t to, uint64_t stamp);
void block_write(struct worker *worker, struct block *block, size_t from, size_t to);
void block_check(struct worker *worker, const struct block *block, bool whole);
/* Remembers a written range by its address: a calloc at these addresses must be zero. */
void note_dirty(const char *from, const char *to);
void check_zero(struct worker *worker, const char *p, size_t size);
void check_result(struct worker *worker, const void *p, size_t size, bool served);

#endif
