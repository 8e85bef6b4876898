/*
 * A library with an IFUNC resolver that calls memset, bzero and explicit_bzero. ld.so relocates the libraries
 * that a program needs before the preloaded ones, so these calls reach an interposed memset that is not
 * relocated yet.
 */
#include "early_memset.h"

#include <string.h>
#include <strings.h>

static unsigned char bytes[8192];
static bool worked;

static bool found_zero(void)
{
	return worked;
}

static bool no_resolver(void)
{
	return false;
}

__attribute__((used)) static bool (*resolve(void))(void)
{
	volatile size_t size = sizeof bytes;

	bytes[0] = bytes[sizeof bytes - 1] = 1;
	worked = memset(bytes, 0, size) == bytes && bytes[0] == 0 && bytes[sizeof bytes - 1] == 0;
	memset(bytes, 0x5a, size / 2);
	worked = worked && bytes[0] == 0x5a && bytes[sizeof bytes / 2 - 1] == 0x5a &&
		 bytes[sizeof bytes / 2] == 0;
	bzero(bytes + 1, size / 4);
	explicit_bzero(bytes + size / 4, size / 4);
	worked = worked && bytes[0] == 0x5a && bytes[1] == 0 && bytes[size / 2 - 1] == 0;
	return worked ? found_zero : no_resolver;
}

__attribute__((visibility("default"))) bool early_memset_worked(void) __attribute__((ifunc("resolve")));
