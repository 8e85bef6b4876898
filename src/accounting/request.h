/* A request for memory, as the program made it and as the log will name it. */
#ifndef LZ_ACCOUNTING_REQUEST_H
#define LZ_ACCOUNTING_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "support/options.h"

struct lz_request {
	const char *call;   /* "calloc" */
	uint64_t size;      /* asked for, bytes */
	const void *caller; /* return address in the program */
	bool zeroed;        /* its memory must read as zero */
	bool accounted;     /* the kernel applies its overcommit rules, as it does to malloc without us */
	enum lz_backing_choice backing; /* LZ_BACKING_AUTO: as LAZYZERO_BACKING says */
};

/* Where it is to stand: its own choice, else that of LAZYZERO_BACKING. */
static inline enum lz_backing_choice lz_request_backing(
	const struct lz_request *request, const struct lz_options *options)
{
	return request->backing != LZ_BACKING_AUTO ? request->backing
						   : (enum lz_backing_choice)options->backing;
}

#endif
