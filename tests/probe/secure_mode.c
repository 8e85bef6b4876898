/*
 * The library inside of a program, which so runs with it though it be set-uid: says whether the loader's
 * secure mode is on, and whether a request that the environment's budget forbids is served.
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
