/* Workloads that read what was never written: what it costs, where, and what a child inherits of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../examples/common.h"
#include "workload.h"

/*
 * Whether a read of untouched memory is answered by the zero page, as everywhere but on a few guests, or
 * allocates; and what one fault costs. The runner sizes the other workloads by it.
 */
void workload_probe(char **arguments)
{
	const uint64_t size = 16 * MIB;
	char *block = mapped(size);

	(void)arguments;
	refuse_huge_pages(block, size);
	measure_start();
	read_pages(block, size);
	measure_stop();
}

void workload_scan(char **arguments)
{
	static const char *const ways[] = {"calloc", "mmap", NULL};
	uint64_t size = argument_size(arguments[0]);
	bool by_mmap = argument_word(arguments[1], ways) == 1;
	double start;
	char *block;

	measure_start();
	block = by_mmap ? mapped(size) : zeroed_or_mapped(size);
	start = measure_elapsed();
	read_pages(block, size);
	measure_add("first_seconds", measure_elapsed() - start);
	measure_stop();
	start = measure_elapsed();
	read_pages(block, size);
	measure_add("second_seconds", measure_elapsed() - start);
}

/*
 * Prints at each doubling, so that what was read before the kernel killed it is known. By mmap: the picture
 * is that of a program, not of an allocator.
 */
void workload_curve(char **arguments)
{
	uint64_t size = argument_size(arguments[0]), until = 16 * MIB;
	char *block = mapped(size);

	refuse_huge_pages(block, size);
	measure_start();
	for (uint64_t from = 0; from < size; from = until, until *= 2) {
		if (until > size)
			until = size;
		read_pages(block + from, until - from);
		printf("{\"read\":%.0f,\"seconds\":%.6f,\"tables\":%.0f,\"rss\":%.0f}\n", (double)until,
			measure_elapsed(), (double)status_bytes(0, "VmPTE"),
			(double)status_bytes(0, "VmRSS"));
		fflush(stdout);
	}
	measure_stop();
}

/* Timed is fork itself, which copies page tables; the child answers with how many it was given. */
void workload_fork(char **arguments)
{
	uint64_t size = argument_size(arguments[0]), writes = argument_size(arguments[1]), tables = 0;
	char *block = mapped(size);
	int ends[2], status;
	pid_t child;

	refuse_huge_pages(block, size);
	read_pages(block, size);
	write_scattered(block, size, writes);
	if (pipe(ends) != 0) {
		perror("workload: pipe");
		exit(1);
	}
	measure_start();
	child = fork();
	if (child == 0) {
		tables = status_bytes(0, "VmPTE");
		_exit(write(ends[1], &tables, sizeof tables) == (ssize_t)sizeof tables ? 0 : 1);
	}
	if (child < 0)
		measure_refused(strerror(errno));
	measure_stop();
	if (read(ends[0], &tables, sizeof tables) != (ssize_t)sizeof tables)
		tables = 0;
	waitpid(child, &status, 0);
	measure_add("child_tables", (double)tables);
}
