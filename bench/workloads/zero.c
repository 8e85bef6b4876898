/*
 * Workloads that clear memory with memset themselves, as std::vector, Fortran's `a = 0` and hash tables do:
 * what programs do with such a block, and what memset takes beside the C library's own.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../../examples/common.h"
#include "workload.h"

enum { SPARSE, STORES, ADDITIONS };

static void store_all(double *array, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		array[i] = 1;
}

static void add_to_all(double *array, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		array[i] += 1;
}

/* All rounds clear the memory from one call site: neither inlined, nor a jump to memset. */
static __attribute__((noinline)) double *vector(uint64_t size)
{
	double *array = malloc(size);

	if (array == NULL)
		measure_refused(strerror(errno));
	memset(array, 0, size);
	pointer_sink = array;
	return array;
}

static void use_vector(double *array, uint64_t size, unsigned way)
{
	if (way == SPARSE)
		write_scattered((char *)array, size, 10000);
	else if (way == STORES)
		store_all(array, size / sizeof *array);
	else
		add_to_all(array, size / sizeof *array);
	value_sink = (uint64_t)array[size / sizeof *array / 2];
}

/*
 * The last round alone is timed: in earlier ones the library may learn what becomes of the memory, and
 * allocators may keep it.
 */
void workload_vector(char **arguments)
{
	static const char *const ways[] = {"sparse", "stores", "additions", NULL};
	uint64_t size = argument_size(arguments[0]), rounds = argument_size(arguments[1]);
	unsigned way = argument_word(arguments[2], ways);
	double *array;

	for (uint64_t round = 1; round < rounds; round++) {
		array = vector(size);
		use_vector(array, size, way);
		free(array);
	}
	measure_start();
	array = vector(size);
	use_vector(array, size, way);
	measure_stop();
}

/* --- memset beside the C library's own, in one process and in turns --- */

typedef void *memset_function(void *, int, size_t);

static memset_function *const programs = memset; /* which a preloaded library may define */

/* Of this thread alone, which a busy machine disturbs least. */
static double thread_seconds(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* noinline: one call site, by which the library learns. */
static __attribute__((noinline)) double time_of(memset_function *function, char *block, uint64_t size)
{
	double start = thread_seconds();

	function(block, 0, size);
	return thread_seconds() - start;
}

static memset_function *c_library(void)
{
	void *library = dlopen("libc.so.6", RTLD_LAZY | RTLD_LOCAL), *found = NULL;
	memset_function *function;

	if (library != NULL)
		found = dlsym(library, "memset");
	if (found == NULL)
		measure_refused("there is no memset in libc.so.6");
	memcpy(&function, &found, sizeof function);
	return function;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, uint64_t count)
{
	qsort(values, count, sizeof *values, by_size);
	return values[count / 2];
}

/* Two series of the same memsets: the program's, and the C library's. */
struct series {
	const char *name;
	double *program, *plain, *ratio;
};

static void series_init(struct series *series, const char *name, uint64_t count)
{
	series->name = name;
	series->program = calloc(3 * count, sizeof(double));
	if (series->program == NULL)
		measure_refused(strerror(errno));
	series->plain = series->program + count;
	series->ratio = series->plain + count;
}

/* One after the other, in turns the other way round. */
static void series_take(
	struct series *series, uint64_t i, memset_function *plain, char *ours, char *theirs, uint64_t size)
{
	if (i % 2 == 0)
		series->program[i] = time_of(programs, ours, size);
	series->plain[i] = time_of(plain, theirs, size);
	if (i % 2 != 0)
		series->program[i] = time_of(programs, ours, size);
	series->ratio[i] = series->program[i] / series->plain[i];
}

/* Adds the median of each from `first` on, and of the ratios of pairs, whose disturbances partly cancel. */
static void series_add(struct series *series, uint64_t first, uint64_t count)
{
	char key[40];

	snprintf(key, sizeof key, "%s_seconds", series->name);
	measure_add(key, median(series->program + first, count - first));
	snprintf(key, sizeof key, "%s_plain_seconds", series->name);
	measure_add(key, median(series->plain + first, count - first));
	snprintf(key, sizeof key, "%s_ratio", series->name);
	measure_add(key, median(series->ratio + first, count - first));
}

/* Blocks of which every page was written before: cleared for the first time, and again. */
void workload_refill(char **arguments)
{
	uint64_t size = argument_size(arguments[0]), rounds = argument_size(arguments[1]);
	memset_function *plain = c_library();
	struct series first, again;

	series_init(&first, "first", rounds);
	series_init(&again, "again", rounds);
	measure_start();
	for (uint64_t i = 0; i < rounds; i++) {
		char *ours = mapped(size), *theirs = mapped(size);

		refuse_huge_pages(ours, size);
		refuse_huge_pages(theirs, size);
		plain(ours, 1, size);
		plain(theirs, 1, size);
		series_take(&first, i, plain, ours, theirs, size);
		series_take(&again, i, plain, ours, theirs, size);
		munmap(ours, size);
		munmap(theirs, size);
	}
	measure_stop();
	series_add(&first, 0, rounds);
	series_add(&again, 0, rounds);
}

/* A table of which 1% of the pages is written before each time that it is cleared. */
void workload_table(char **arguments)
{
	static const char *const ways[] = {"same", "random", NULL};
	uint64_t size = argument_size(arguments[0]), rounds = argument_size(arguments[1]);
	bool same = argument_word(arguments[2], ways) == 0;
	uint64_t pages = size / page_bytes(), state = 1;
	char *ours = mapped(size), *theirs = mapped(size);
	memset_function *plain = c_library();
	struct series clears;
	double total = 0, plain_total = 0;

	refuse_huge_pages(ours, size);
	refuse_huge_pages(theirs, size);
	series_init(&clears, "last", rounds);
	/* Bare, the first time allocates the pages. */
	plain(theirs, 0, size);
	measure_start();
	for (uint64_t i = 0; i < rounds; i++) {
		if (same)
			state = 1;
		for (uint64_t n = 0; n < pages / 100; n++) {
			uint64_t place = next_random(&state) % pages * page_bytes();

			ours[place] = theirs[place] = 1;
		}
		series_take(&clears, i, plain, ours, theirs, size);
		total += clears.program[i];
		plain_total += clears.plain[i];
	}
	measure_stop();
	measure_add("total_seconds", total);
	measure_add("total_plain_seconds", plain_total);
	measure_add("total_ratio", total / plain_total);
	series_add(&clears, rounds - (rounds + 9) / 10, rounds);
}
