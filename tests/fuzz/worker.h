/* A thread that makes calls, and its state. */
#ifndef WORKER_H
#define WORKER_H

#include "fuzz.h"

struct worker {
	const struct record *records;
	size_t count;
	unsigned threads, number;
	size_t at;                   /* index of the current record, */
	const struct record *record; /* and the record; NULL at the end */
	struct progress *progress;
	struct blocks *blocks;
	struct pairs *pairs;
};

void note_forked(void);
void blocks_end_exchange(struct worker *worker);

/* The operations; see operations.c. */
void do_malloc(struct worker *, const struct record *);
void do_calloc(struct worker *, const struct record *);
void do_realloc(struct worker *, const struct record *);
void do_reallocarray(struct worker *, const struct record *);
void do_aligned(struct worker *, const struct record *);
void do_free(struct worker *, const struct record *);
void do_write(struct worker *, const struct record *);
void do_fill(struct worker *, const struct record *);
void do_check(struct worker *, const struct record *);
void do_usable(struct worker *, const struct record *);
void do_block_protect(struct worker *, const struct record *);
void do_block_advise(struct worker *, const struct record *);
void do_exchange(struct worker *, const struct record *);
void do_invalid(struct worker *, const struct record *);
void do_trim(struct worker *, const struct record *);
void do_fork(struct worker *, const struct record *);
void do_fork_on(struct worker *, const struct record *);
void do_block_dontfork(struct worker *, const struct record *);
void do_overlay(struct worker *, const struct record *);
void do_block_clear(struct worker *, const struct record *);

void do_map(struct worker *, const struct record *);
void do_unmap(struct worker *, const struct record *);
void do_remap(struct worker *, const struct record *);
void do_protect(struct worker *, const struct record *);
void do_advise(struct worker *, const struct record *);
void do_advise_free(struct worker *, const struct record *);
void do_advise_process(struct worker *, const struct record *);
void do_userfault(struct worker *, const struct record *);
void do_bind(struct worker *, const struct record *);
void do_lock(struct worker *, const struct record *);
void do_sync(struct worker *, const struct record *);
void do_attach(struct worker *, const struct record *);
void do_detach(struct worker *, const struct record *);
void do_store(struct worker *, const struct record *);
void do_load(struct worker *, const struct record *);
void do_clear(struct worker *, const struct record *);
void do_compare_maps(struct worker *, const struct record *);

#endif
