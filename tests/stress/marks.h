/*
 * Contents that identify a range: each range has a number, and in each 64 KiB a word made of it and the
 * offset.
 */
#ifndef MARKS_H
#define MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes between two marked words. */
#define GRAIN ((size_t)64 << 10)

/* A number that no other range has. */
uint64_t new_number(void);

uint64_t mark_at(uint64_t number, size_t offset);
void set_marks(char *p, size_t length, uint64_t number);
bool has_marks(const char *p, size_t length, uint64_t number);

/* Whether all words that would be marked are zero. */
bool is_zero(const char *p, size_t length);

/* A block of the program. p == NULL: none. */
struct block {
	char *p;
	size_t size;
	uint64_t number;
};

/*
 * Allocates a block by calloc, checks that it is zero, and marks it. On failure p stays NULL and a check has
 * failed.
 */
void make_block(struct block *block, size_t size);

/* Whether there is no block, or all its marks are intact. */
bool is_whole(const struct block *block);

#endif
