/*
 * The workloads of the benchmark, one of which runs in each process:
 *
 *   workload NAME ARGUMENT...        sizes as 64M or 100G; without a name, the list
 *
 * It prints one line of JSON. bench/run.py runs it bare and under each allocator.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/common.h"
#include "workload.h"

static const struct {
	const char *name, *arguments;
	void (*run)(char **arguments);
	const char *what;
} workloads[] = {
	{"probe", "", workload_probe, "is there a zero page, and what does a page fault cost"},
	{"scan", "SIZE calloc|mmap", workload_scan, "read a byte of every page, twice"},
	{"curve", "SIZE", workload_curve, "the same once, a line at each doubling of what was read"},
	{"fork", "SIZE WRITES", workload_fork, "read a byte of every page, write some, and fork"},
	{"writes", "SIZE WRITES fresh|read|advised", workload_writes, "scattered writes"},
	{"dense", "SIZE malloc|calloc|advised", workload_dense, "fill a block once"},
	{"reuse", "SIZE ROUNDS sparse|dense", workload_reuse, "calloc, 10 writes or all, free"},
	{"mixed", "THREADS ROUNDS SIZE", workload_mixed, "the same of random sizes and densities"},
	{"small", "THREADS ROUNDS", workload_small, "malloc and free of small random sizes"},
	{"grow", "FROM TO", workload_grow, "realloc in steps of a quarter"},
	{"churn", "ROUNDS", workload_churn, "small mmaps and munmaps"},
	{"regions", "THREADS ROUNDS SIZE", workload_regions, "calloc and free, nothing touched"},
	{"many", "COUNT SIZE", workload_many, "so many callocs, all read"},
	{"reserve", "COUNT SIZE", workload_reserve, "so many mmaps, the first 340 KiB of each written"},
	{"stacks", "COUNT SIZE", workload_stacks, "so many callocs, 8 KiB of each written, freed; 3 times"},
	{"crowd", "COUNT SIZE calloc|mmap", workload_crowd, "1,000 requests more while so many are alive"},
	{"held", "HELD SIZE ROUNDS calloc|mmap", workload_held,
		"requests while much shared memory is mapped"},
	{"shared", "PROCESSES SIZE", workload_shared, "processes over one shared memory, read twice"},
	{"toolarge", "ROUNDS", workload_toolarge, "requests larger than the address space"},
	{"hugetry", "SIZE ROUNDS", workload_hugetry, "mprotect after a failed mmap of huge pages"},
	{"vector", "SIZE ROUNDS sparse|stores|additions", workload_vector,
		"malloc, memset to 0, 10,000 writes or all"},
	{"refill", "SIZE ROUNDS", workload_refill, "memset to 0 of full blocks, beside the C library's"},
	{"table", "SIZE ROUNDS same|random", workload_table,
		"memset to 0 of a table, 1% of it written, beside the C library's"},
};

#define WORKLOADS (sizeof workloads / sizeof *workloads)

static int words_of(const char *text)
{
	int words = *text != '\0';

	for (; *text != '\0'; text++)
		words += *text == ' ';
	return words;
}

uint64_t argument_size(const char *text)
{
	uint64_t size;

	if (parse_size(text, &size))
		return size;
	fprintf(stderr, "workload: \"%s\" is not a size such as 64M\n", text);
	exit(2);
}

unsigned argument_word(const char *text, const char *const words[])
{
	for (unsigned i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	fprintf(stderr, "workload: \"%s\" is not a word this workload knows\n", text);
	exit(2);
}

unsigned argument_threads(const char *text)
{
	uint64_t threads = argument_size(text);

	if (threads <= MAX_THREADS)
		return (unsigned)threads;
	fprintf(stderr, "workload: %s threads are more than %u\n", text, MAX_THREADS);
	exit(2);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < WORKLOADS; i++) {
		if (argc < 2 || strcmp(argv[1], workloads[i].name) != 0)
			continue;
		if (argc - 2 != words_of(workloads[i].arguments))
			break;
		workloads[i].run(argv + 2);
		measure_print();
		return 0;
	}
	for (size_t i = 0; i < WORKLOADS; i++)
		fprintf(argc < 2 ? stdout : stderr, "workload %s %s\n\t%s\n", workloads[i].name,
			workloads[i].arguments, workloads[i].what);
	return argc < 2 ? 0 : 2;
}
