/*
 * The places in Python programs that stacks lead through: file, function and line. They are read when a site
 * is first seen, since code objects are freed.
 *
 * A table of fixed size; entries are added, never changed. Text is UTF-8. Thread-safe and async-signal-safe:
 * no lock, no heap.
 */
#ifndef LZ_SITES_PYTHON_PLACES_H
#define LZ_SITES_PYTHON_PLACES_H

#include "sites/python.h"

#define LZ_PYTHON_PLACES 2048u /* a power of two */
#define LZ_PYTHON_PLACE_NONE UINT16_MAX

struct lz_python_place {
	_Atomic uint64_t key; /* hash of the other members; 0: free entry */
	_Atomic bool known;   /* they are valid */
	int32_t line;
	char file[232];     /* of a longer name the end, after "..." */
	char function[108]; /* its qualified name; of a longer one the start */
};

struct lz_python_places {
	struct lz_python_place place[LZ_PYTHON_PLACES];
};

/*
 * Returns the number of a frame's place, adding it if it is new. LZ_PYTHON_PLACE_NONE: the structures are not
 * readable, or the table is full.
 */
unsigned lz_python_places_find(struct lz_python_places *places, const struct lz_os *os,
	const struct lz_python *python, const struct lz_python_frame *frame);

/*
 * The line of the instruction `offset` bytes after the first, in a table of `length` bytes at the address
 * `table` in the format of co_linetable (CPython, InternalDocs/code_objects.md, from 3.11 on).
 */
int32_t lz_python_line(
	const struct lz_os *os, uint64_t table, uint64_t length, int32_t first_line, uint64_t offset);

#endif
