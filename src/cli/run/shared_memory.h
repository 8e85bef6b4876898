/*
 * The driver of shared memory: makes the blocks of a program's shared memory huge as they fill
 * (LAZYZERO_SHARED=auto), so that each process that maps them needs no page table for them.
 *
 * The library in the processes of the program tells the driver of each large shared mapping
 * (support/shared_driver.h). The driver looks at each object ten times a second, memory files and segments
 * once a second; an object that has not grown since costs a microsecond. After a collapse it rests for three
 * times as long as that took, so that it takes a quarter of a processor at most, and only while blocks fill.
 * Early is cheap: a block that two processes map takes a tenth of the time of one that 50 map.
 *
 * It runs in a thread of `lazyzero run`, which is started with the first message, and in one thread more for
 * each object of anonymous memory, which waits until the program has let go of it. The descriptors it opens
 * are close-on-exec. It never reads or writes the program's memory.
 */
#ifndef LZ_CLI_RUN_SHARED_MEMORY_H
#define LZ_CLI_RUN_SHARED_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct lz_shared_driver;

/* What the driver did. */
struct lz_shared_totals {
	uint64_t objects;        /* that it looked at */
	uint64_t bytes;          /* their size */
	uint64_t collapsed;      /* blocks made huge */
	uint64_t huge_bytes;     /* their size */
	uint64_t failed;         /* collapses that failed */
	uint64_t processor_time; /* ns */
};

/*
 * Prepares a driver and sets LAZYZERO_SHARED for the program, if its value is auto or, for the default, if it
 * is not set. Returns 0, and *driver is NULL if there is nothing to drive or no socket for it; -errno if the
 * environment cannot be set.
 */
int lz_shared_driver_open(struct lz_shared_driver **driver);

/* Starts the thread if there is a message. Called often; NULL does nothing. */
void lz_shared_driver_poll(struct lz_shared_driver *driver);

/* Ends the driver. NULL gives totals of 0. */
void lz_shared_driver_close(struct lz_shared_driver *driver, struct lz_shared_totals *totals);

#endif
