/* A request for memory, as made by the program and as named in the log. Not shared between threads. */
#ifndef LZ_ACCOUNTING_REQUEST_H
#define LZ_ACCOUNTING_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "support/options.h"

struct lz_request {
	const char *call;   /* "calloc" */
	uint64_t size;      /* requested size in bytes */
	const void *caller; /* return address in the program */
	bool zeroed;        /* the memory must read as zero */
	bool accounted; /* the kernel applies its overcommit rules, as it does to malloc without lazyzero */
	enum lz_backing_choice backing; /* LZ_BACKING_AUTO: according to LAZYZERO_BACKING */
};

/* Returns the backing to use: that of the request, else that of LAZYZERO_BACKING. */
static inline enum lz_backing_choice lz_request_backing(
	const struct lz_request *request, const struct lz_options *options)
{
	return request->backing != LZ_BACKING_AUTO ? request->backing
						   : (enum lz_backing_choice)options->backing;
}

#endif
