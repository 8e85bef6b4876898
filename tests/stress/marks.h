/* Contents by which a range is known: a number of its own, and in each 64 KiB a word made of it and the
 * place. */
#ifndef MARKS_H
#define MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes from one marked word to the next. */
#define GRAIN ((size_t)64 << 10)

/* A number that no other range has. */
uint64_t new_number(void);

uint64_t mark_at(uint64_t number, size_t offset);
void set_marks(char *p, size_t length, uint64_t number);
bool has_marks(const char *p, size_t length, uint64_t number);

/* Whether all words that would be marked are zero. */
bool is_zero(const char *p, size_t length);

/* Allocated by the program. p == NULL: none. */
struct block {
	char *p;
	size_t size;
	uint64_t number;
};

/* By calloc; zero, then marked. NULL stays where that failed, which is a failed check. */
void make_block(struct block *block, size_t size);

/* Whether it is none, or whole. */
bool is_whole(const struct block *block);

#endif
