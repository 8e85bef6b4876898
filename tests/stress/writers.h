/* Threads that write to one region, each page of which has one writer; and the check of the result. */
#ifndef WRITERS_H
#define WRITERS_H

#include "stress.h"

#define PAGE ((size_t)4096)
#define BLOCK (2 * MB)

/*
 * All writers use the first two blocks; the third is not the target of reads from files; the last has no
 * writers.
 */
#define LENGTH (4 * BLOCK)
#define WITHOUT_READS 2
#define IDLE 3
#define PER_BLOCK 16u /* pages of each writer */

/* File pages contain numbers up to this. */
#define FILE_PAGES 64u

enum task { STORES, STORES_TOO, READS, READS_DIRECTLY, WRITES_FROM, TASKS };

struct writer {
	enum task task;
	unsigned blocks;
	uint64_t last[3 * PER_BLOCK]; /* the last value written to each of its pages */
};

/* The region. */
extern char *memory;

uint64_t check_page(const char *page);

/*
 * Creates the files to read and write, under TMPDIR. Returns false if the file system does not support
 * O_DIRECT.
 */
bool make_files(void);
void close_files(void);

/* Starts one writer for each bit in `tasks`; returns how many. */
unsigned start_writers(struct writer writers[TASKS], unsigned tasks);
void stop_writers(void);

/* Checks that every page has its last written value. No writer may be running. */
void verify_written(const struct writer *writers, unsigned count);

#endif
