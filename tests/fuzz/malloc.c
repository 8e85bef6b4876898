/* Operations of the malloc family. */
#include "blocks.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

/* Blocks to be taken over by another thread. */
static struct block exchange[8];
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;

void do_malloc(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	size_t size = size_of(record->s, record->x);
	void *p;

	block_free(worker, block);
	errno = UNTOUCHED;
	p = malloc(size);
	trace(worker, "malloc(%#zx) = %p", size, p);
	check_result(worker, p, size, is_served(size, false));
	block_new(worker, block, p, size, UNKNOWN);
}

void do_calloc(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	size_t size = size_of(record->s, record->x), unit = record->y % 5 == 0 ? 1 + record->y % 40 : 1;
	void *p;

	block_free(worker, block);
	errno = UNTOUCHED;
	p = calloc(size / unit, unit);
	size = size / unit * unit;
	trace(worker, "calloc(%#zx, %zu) = %p", size / unit, unit, p);
	check_result(worker, p, size, is_served(size, true));
	block_new(worker, block, p, size, ZEROS);
}

static void resize(struct worker *worker, const struct record *record, size_t size, size_t unit)
{
	struct block *block = block_of(worker, record);
	size_t count = size / unit;
	void *p;

	size = count * unit;
	block_check(worker, block, false);
	errno = UNTOUCHED;
	p = unit == 1 ? realloc(block->p, size) : reallocarray(block->p, count, unit);
	trace(worker, "realloc(%p of %#zx, %#zx) = %p", (void *)block->p, block->p ? block->size : 0, size,
		p);
	if (block->p == NULL) {
		check_result(worker, p, size, is_served(size, false));
		block_new(worker, block, p, size, UNKNOWN);
	} else if (size == 0) {
		if (p != NULL)
			fail(worker, "realloc to nothing gave %p", p);
		block->p = NULL;
	} else {
		/* What shrank below the threshold may have moved to the C library. */
		bool served = !block->from_c_library && is_served(block->size, false) &&
			      ((uintptr_t)block->p & (PAGE - 1)) == 0;

		check_result(worker, p, size, served && is_served(size, false));
		if (p != NULL)
			block_resized(block, p, size);
	}
	block_check(worker, block, false);
}

/* Resizes to another size, or by a small step. */
void do_realloc(struct worker *worker, const struct record *record)
{
	size_t had = block_of(worker, record)->p != NULL ? block_of(worker, record)->size : 0;
	size_t size = size_of(record->s, record->x);

	switch (record->b % 16) {
	case 0:
		size = had / 2;
		break;
	case 1:
		size = had < 2 * GB ? had * 2 : had;
		break;
	case 2:
		size = had + PAGE;
		break;
	case 3:
		size = had > PAGE ? had - PAGE : had;
		break;
	case 4:
		size = had + had / 8;
		break;
	case 5:
		size = record->y % 8 == 0 ? 0 : had;
		break;
	default:
		break;
	}
	resize(worker, record, size, 1);
}

void do_reallocarray(struct worker *worker, const struct record *record)
{
	resize(worker, record, size_of(record->s, record->x), 2 + record->y % 100);
}

void do_aligned(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	size_t size = size_of(record->s, record->x), alignment = (size_t)8 << record->y % 20;
	void *p = NULL;
	int error;

	block_free(worker, block);
	if (record->y >> 8 & 1)
		alignment = 16 << record->y % 9;
#ifdef __SANITIZE_ADDRESS__ /* its aligned_alloc requires a multiple, and it may be the next allocator */
	if (record->b % 5 == 1)
		size = (size + alignment - 1) & -alignment;
#endif
	errno = UNTOUCHED;
	switch (record->b % 5) {
	case 0:
		p = memalign(alignment, size);
		break;
	case 1:
		p = aligned_alloc(alignment, size);
		break;
	case 2:
		error = posix_memalign(&p, record->y >> 9 & 15 ? alignment : 24, size);
		if (!(record->y >> 9 & 15)) {
			if (error != EINVAL || p != NULL)
				fail(worker, "posix_memalign to 24 gave %d, %p", error, p);
			return;
		}
		if (error == ENOMEM)
			errno = ENOMEM;
		break;
	case 3:
		p = valloc(size);
		alignment = PAGE;
		break;
	default:
		p = pvalloc(size);
		alignment = PAGE;
	}
	trace(worker, "aligned %d (%#zx, %#zx) = %p", record->b % 5, alignment, size, p);
	check_result(worker, p, size, is_served(size, false));
	if (((uintptr_t)p & (alignment - 1)) != 0)
		fail(worker, "%p is not aligned to %#zx", p, alignment);
	block_new(worker, block, p, size, UNKNOWN);
}

void do_free(struct worker *worker, const struct record *record)
{
	block_free(worker, block_of(worker, record));
}

void do_exchange(struct worker *worker, const struct record *record)
{
	struct block *mine = block_of(worker, record), *other = &exchange[record->b % 8], kept;

	block_check(worker, mine, false);
	pthread_mutex_lock(&exchange_lock);
	kept = *other;
	*other = *mine;
	pthread_mutex_unlock(&exchange_lock);
	*mine = kept;
	block_check(worker, mine, false);
}

void blocks_end_exchange(struct worker *worker)
{
	for (unsigned i = 0; i < 8; i++)
		block_free(worker, &exchange[i]);
}

/* Requests larger than the address space. */
void do_invalid(struct worker *worker, const struct record *record)
{
	struct block *block = block_of(worker, record);
	volatile size_t size = (size_t)PTRDIFF_MAX + record->x % 3 * PAGE - record->y % 9000;
	void *p = NULL;
	int error = 0;

	errno = UNTOUCHED;
	switch (record->b % 6) {
	case 0:
		p = malloc(size);
		break;
	case 1:
		p = calloc(size, 3);
		break;
	case 2:
		p = realloc(block->p, size);
		break;
	case 3:
		p = reallocarray(block->p, size, 16);
		break;
	case 4:
		error = posix_memalign(&p, 64, size);
		errno = error;
		break;
	default:
		p = memalign(64, size);
	}
	if (p != NULL || errno != ENOMEM)
		fail(worker, "kind %d for %#zx bytes gave %p with errno %d", record->b % 6, size, p, errno);
	block_check(worker, block, false);
}

void do_trim(struct worker *worker, const struct record *record)
{
	(void)worker;
	(void)record;
	malloc_trim(0);
}
