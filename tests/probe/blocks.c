/* Markers, zero checks and errno; see blocks.h. */
#include "blocks.h"

#include <errno.h>
#include <stdlib.h>

size_t small, large;
bool served, strict;

bool is_zero(const char *p, size_t size)
{
	if (size <= 4 * MB) {
		for (size_t i = 0; i < size; i++)
			if (p[i] != 0)
				return false;
		return true;
	}
	for (size_t i = 0; i < 4096; i++)
		if (p[i] != 0 || p[size - 1 - i] != 0)
			return false;
	for (int i = 0; i < 64; i++)
		if (p[probe_random() % size] != 0)
			return false;
	return true;
}

/* Marker positions: every 512 bytes at first, then every 512 KiB, to keep large blocks cheap. */
static size_t next_mark(size_t at)
{
	return at + (at < 2 * MB ? 512 : 512 * KB);
}

/* Writes markers that encode their position, and the last byte. */
void mark(char *p, size_t from, size_t size)
{
	for (size_t at = 0; at < size; at = next_mark(at))
		if (at >= from)
			p[at] = (char)(at >> 9 ^ at >> 17 ^ 0x5a);
	p[size - 1] = (char)0xa5;
}

bool is_marked(const char *p, size_t size)
{
	for (size_t at = 0; at + 1 < size; at = next_mark(at))
		if (p[at] != (char)(at >> 9 ^ at >> 17 ^ 0x5a))
			return false;
	return true;
}

/* The allocator below may set errno differently for what it serves itself. */
void check_errno(const char *call, size_t size, bool ours)
{
	if (ours)
		CHECK(!served || errno == UNTOUCHED, "%s(%zu) succeeded and set errno to %d", call, size,
			errno);
	else if (strict)
		CHECK(errno == UNTOUCHED, "%s(%zu) succeeded and set errno to %d", call, size, errno);
}

void release(void *p)
{
	errno = UNTOUCHED;
	free(opaque_pointer(p));
	CHECK(errno == UNTOUCHED, "free set errno to %d", errno);
}
