/* See marks.h. */
#include "marks.h"
#include "stress.h"

#include <stdatomic.h>
#include <stdlib.h>

uint64_t new_number(void)
{
	static _Atomic uint64_t numbers;

	return atomic_fetch_add(&numbers, 1) + 1;
}

uint64_t mark_at(uint64_t number, size_t offset)
{
	return (number << 16 | offset / GRAIN) * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

void set_marks(char *p, size_t length, uint64_t number)
{
	for (size_t at = 0; at + 8 <= length; at += GRAIN)
		*(volatile uint64_t *)(p + at) = mark_at(number, at);
}

bool has_marks(const char *p, size_t length, uint64_t number)
{
	for (size_t at = 0; at + 8 <= length; at += GRAIN)
		if (*(const volatile uint64_t *)(p + at) != mark_at(number, at))
			return false;
	return true;
}

bool is_zero(const char *p, size_t length)
{
	for (size_t at = 0; at + 8 <= length; at += GRAIN)
		if (*(const volatile uint64_t *)(p + at) != 0)
			return false;
	return true;
}

void make_block(struct block *block, size_t size)
{
	block->size = size;
	block->number = new_number();
	block->p = calloc(1, size);
	if (!CHECK(block->p != NULL))
		return;
	CHECK(is_zero(block->p, size));
	set_marks(block->p, size, block->number);
}

bool is_whole(const struct block *block)
{
	return block->p == NULL || has_marks(block->p, block->size, block->number);
}
