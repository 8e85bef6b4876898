/* Blocks of the malloc family, and what each must hold. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "worker.h"

#define SLOTS 32
#define EXTENTS 24
#define ZEROS UINT64_C(0)
#define UNKNOWN UINT64_C(1) /* what malloc gives */

/* A range of a block, in bytes, all of it of one pattern; later ones lie over earlier ones. */
struct extent {
	size_t from, to;
	uint64_t stamp;
};

struct block {
	char *p;
	size_t size;
	unsigned extents; /* the first covers everything */
	struct extent extent[EXTENTS];
};

/* What was mapped over the addresses of a block that was freed. */
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
	int overlay_file; /* its descriptor and 1; 0: none yet */
	pid_t child;      /* that lives on; 0: none */
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
/* What is written is remembered by its address: a calloc that comes to lie there must be zero. */
void note_dirty(const char *from, const char *to);
void check_zero(struct worker *worker, const char *p, size_t size);
void check_result(struct worker *worker, const void *p, size_t size, bool served);

#endif
