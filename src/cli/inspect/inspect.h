/*
 * `lazyzero report --pid`: what the memory of a running process holds and what its page tables belong to,
 * seen from outside. The process need not be preloaded, and is not stopped.
 */
#ifndef LZ_CLI_INSPECT_INSPECT_H
#define LZ_CLI_INSPECT_INSPECT_H

#include <stdbool.h>
#include <stddef.h>

#define LZ_INSPECT_PID_ACCEPTED "a process ID"
#define LZ_INSPECT_SAMPLE_ACCEPTED "a number of seconds from 0.1 to 3600"

struct lz_inspect_options {
	const char *pid;    /* as given */
	const char *sample; /* the interval as given; NULL: look once */
	bool json;
	bool all;     /* every mapping */
	size_t width; /* of the table, in columns; SIZE_MAX: unlimited */
};

/* Returns the exit status: 1 after a message if the process cannot be looked at. */
int lz_inspect(const struct lz_inspect_options *options);

#endif
