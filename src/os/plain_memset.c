/* memset(3) for the library itself; see plain_memset.h. */
#include "os/plain_memset.h"

void *(*lz_plain_memset)(void *p, int byte, size_t size) = lz_memset_standalone;

void *lz_memset_standalone(void *p, int byte, size_t size)
{
#if defined(__x86_64__)
	void *at = p;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
#else
	/* The barrier keeps the compiler from turning the loop into a call of memset. */
	for (unsigned char *at = p; size != 0; at++, size--) {
		*at = (unsigned char)byte;
		__asm__ volatile("" : : : "memory");
	}
#endif
	return p;
}
