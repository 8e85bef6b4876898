/*
 * A program that contains the library, which therefore also runs in set-uid mode. Prints whether the dynamic
 * linker's secure mode is on, and whether a request that exceeds the environment's budget is served.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

int main(void)
{
	char *p = calloc(1, (size_t)8 << 30);

	printf("secure %d, %s\n", getauxval(AT_SECURE) != 0, p != NULL ? "served" : "refused");
	free(p);
	return 0;
}
