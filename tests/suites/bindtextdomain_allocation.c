/*
 * A library whose constructor makes the process's first allocation, inside bindtextdomain, with the C
 * library's lock of translations held (libgpg-error does). What starts at that moment must not have anything
 * translated: the second call would wait for ever.
 */
#include <libintl.h>

__attribute__((constructor)) static void start(void)
{
	bindtextdomain("lazyzero-first", "/nowhere");
	bindtextdomain("lazyzero-second", "/nowhere");
}
