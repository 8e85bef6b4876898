/* Workloads that write: scattered over much memory, and densely over a block that is used once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../examples/common.h"
#include "workload.h"

enum { FRESH, AFTER_READING, ADVISED };

/*
 * fresh: by calloc, with the making of the block timed. read: every page has been read before, so that each
 * write replaces a zero page; only the writes are timed. advised: fresh, and the program asks for huge pages,
 * as programs do to read large memory fast: each write then allocates 2 MiB.
 */
void workload_writes(char **arguments)
{
	static const char *const ways[] = {"fresh", "read", "advised", NULL};
	uint64_t size = argument_size(arguments[0]), writes = argument_size(arguments[1]);
	unsigned way = argument_word(arguments[2], ways);
	char *block = NULL;

	if (way == AFTER_READING) {
		block = mapped(size);
		refuse_huge_pages(block, size);
		read_pages(block, size);
	}
	measure_start();
	if (way == FRESH)
		block = zeroed_or_mapped(size);
	if (way == ADVISED) {
		block = mapped(size);
		madvise(block, size, MADV_HUGEPAGE);
	}
	write_scattered(block, size, writes);
	measure_stop();
}

void workload_dense(char **arguments)
{
	static const char *const ways[] = {"malloc", "calloc", "advised", NULL};
	uint64_t size = argument_size(arguments[0]);
	unsigned way = argument_word(arguments[1], ways);
	char *block;

	measure_start();
	block = pointer_sink = way == 0 ? malloc(size) : calloc(1, size);
	if (block == NULL)
		measure_refused(strerror(errno));
	if (way == ADVISED) {
		uint64_t skip = -(uintptr_t)block & (page_bytes() - 1);

		madvise(block + skip, size - skip, MADV_HUGEPAGE);
	}
	memset(block, 1, size);
	value_sink = (unsigned char)block[size / 2];
	measure_stop();
}
