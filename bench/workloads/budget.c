/* Workloads about what a decision of the budget costs, and about many regions at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../examples/common.h"
#include "workload.h"

static void **pointers(uint64_t count)
{
	void **all = calloc(count, sizeof *all);

	if (all == NULL)
		measure_refused(strerror(errno));
	return all;
}

static void *private_memory(uint64_t size)
{
	void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		measure_refused(strerror(errno));
	return block;
}

void workload_many(char **arguments)
{
	uint64_t count = argument_size(arguments[0]), size = argument_size(arguments[1]);
	void **all = pointers(count);

	measure_start();
	for (uint64_t i = 0; i < count; i++)
		all[i] = zeroed(size);
	for (uint64_t i = 0; i < count; i++)
		read_pages(all[i], size);
	measure_stop();
}

/* Growing arrays: much is reserved, the first few pages of each are written. */
void workload_reserve(char **arguments)
{
	uint64_t count = argument_size(arguments[0]), size = argument_size(arguments[1]);
	void **all = pointers(count);

	measure_start();
	for (uint64_t i = 0; i < count; i++)
		memset(all[i] = mapped(size), 1, 340 * KIB);
	measure_stop();
	measure_add_each(count);
}

/* All are made, the top of each is written as a stack's is, all are freed; three times. */
void workload_stacks(char **arguments)
{
	uint64_t count = argument_size(arguments[0]), size = argument_size(arguments[1]);
	void **all = pointers(count);

	measure_start();
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < count; i++) {
			all[i] = zeroed(size);
			memset((char *)all[i] + size - 8 * KIB, 1, 8 * KIB);
		}
		for (uint64_t i = 0; i < count; i++)
			free(all[i]);
	}
	measure_stop();
	measure_add_each(3 * count);
}

/* So many are alive; what does one more cost? */
void workload_crowd(char **arguments)
{
	static const char *const ways[] = {"calloc", "mmap", NULL};
	enum { MORE = 1000 };
	uint64_t count = argument_size(arguments[0]), size = argument_size(arguments[1]);
	bool by_calloc = argument_word(arguments[2], ways) == 0;
	void **all = pointers(count + MORE);

	for (uint64_t i = 0; i < count; i++)
		all[i] = by_calloc ? zeroed(size) : private_memory(size);
	measure_start();
	for (uint64_t i = count; i < count + MORE; i++)
		all[i] = by_calloc ? zeroed(size) : private_memory(size);
	for (uint64_t i = count; i < count + MORE; i++)
		if (by_calloc)
			free(all[i]);
		else
			munmap(all[i], size);
	measure_stop();
	measure_add_each(MORE);
}

/* Untouched shared memory counts against the budget, and no window can back it. */
static void hold(uint64_t size)
{
	if (size != 0 && mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
				 -1, 0) == MAP_FAILED)
		measure_refused(strerror(errno));
}

void workload_held(char **arguments)
{
	static const char *const ways[] = {"calloc", "mmap", NULL};
	uint64_t size = argument_size(arguments[1]), rounds = argument_size(arguments[2]);
	bool by_calloc = argument_word(arguments[3], ways) == 0;

	hold(argument_size(arguments[0]));
	measure_start();
	for (uint64_t i = 0; i < rounds; i++)
		if (by_calloc)
			free(zeroed(size));
		else
			munmap(private_memory(size), size);
	measure_stop();
	measure_add_each(rounds);
}

/* Requests that no address space has. */
void workload_toolarge(char **arguments)
{
	uint64_t rounds = argument_size(arguments[0]);

	measure_start();
	for (uint64_t i = 0; i < rounds; i++)
		if ((pointer_sink = malloc((size_t)1 << 47)) != NULL ||
			(pointer_sink = calloc(1, PTRDIFF_MAX - 8 * KIB)) != NULL)
			measure_refused("a request of half the address space was served");
	measure_stop();
	measure_add_each(2 * rounds);
}

/* Tries huge pages once, as databases do, and does without where there are none. */
void workload_hugetry(char **arguments)
{
	uint64_t size = argument_size(arguments[0]), rounds = argument_size(arguments[1]);
	char *page = private_memory(64 * KIB), *block = private_memory(size);

	memset(block, 1, size);
	pointer_sink =
		mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	measure_start();
	for (uint64_t i = 0; i < rounds; i++)
		if (mprotect(page, page_bytes(), PROT_READ) != 0 ||
			mprotect(page, page_bytes(), PROT_READ | PROT_WRITE) != 0)
			measure_refused(strerror(errno));
	measure_stop();
	measure_add_each(2 * rounds);
}
