/*
 * A library whose constructor makes the process's first allocation inside bindtextdomain, while the C library
 * holds its translation lock (libgpg-error does this). Start-up at that moment must not translate a message:
 * it would deadlock.
 */
#include <libintl.h>

__attribute__((constructor)) static void start(void)
{
	bindtextdomain("lazyzero-first", "/nowhere");
	bindtextdomain("lazyzero-second", "/nowhere");
}
