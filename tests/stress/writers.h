/* Threads that write to one region, each page of which has one writer; and what they must have left there. */
#ifndef WRITERS_H
#define WRITERS_H

#include "stress.h"

#define PAGE ((size_t)4096)
#define BLOCK (2 * MB)

/* Blocks: all write to the first two, the third has no reads from files into it, nobody writes to the last.
 */
#define LENGTH (4 * BLOCK)
#define WITHOUT_READS 2
#define IDLE 3
#define PER_BLOCK 16u /* pages of each writer */

/* Pages hold numbers up to this. */
#define FILE_PAGES 64u

enum task { STORES, STORES_TOO, READS, READS_DIRECTLY, WRITES_FROM, TASKS };

struct writer {
	enum task task;
	unsigned blocks;
	uint64_t last[3 * PER_BLOCK]; /* what it wrote to each of its pages */
};

/* The region. */
extern char *memory;

uint64_t check_page(const char *page);

/* What is read from and written to, under TMPDIR. False: its file system does not take O_DIRECT. */
bool make_files(void);
void close_files(void);

/* One for each bit in `tasks`; how many. */
unsigned start_writers(struct writer writers[TASKS], unsigned tasks);
void stop_writers(void);

/* With no writer running, everything is as it was written last. */
void verify_written(const struct writer *writers, unsigned count);

#endif
