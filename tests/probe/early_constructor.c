/*
 * A library that is preloaded beside lazyzero and whose constructor runs before lazyzero's own (or after, by
 * its place in LD_PRELOAD). What it does is in the environment:
 *
 *  PROBE_WHERE=constructor  runs the probe there, and ends the process with its status
 *  PROBE_HUGE_VALUE=NAME    gives NAME a value of 1 MB, more than execve(2) passes, without allocating
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUGE_BYTES (1u << 20)
#define VARIABLES 512u

static char huge_value[HUGE_BYTES + 64];
static char *larger_environment[VARIABLES];

static void add_huge_value(const char *name)
{
	size_t count = 0;

	while (environ[count] != NULL && count < VARIABLES - 2) {
		larger_environment[count] = environ[count];
		count++;
	}
	memset(huge_value, '9', HUGE_BYTES);
	memcpy(huge_value, name, strlen(name));
	huge_value[strlen(name)] = '=';
	larger_environment[count] = huge_value;
	environ = larger_environment;
}

__attribute__((constructor)) static void start_early(void)
{
	const char *where = getenv("PROBE_WHERE");
	const char *name = getenv("PROBE_HUGE_VALUE");
	int (*probe)(void);

	if (name != NULL)
		add_huge_value(name);
	if (where == NULL || strcmp(where, "constructor") != 0)
		return;
	*(void **)&probe = dlsym(RTLD_DEFAULT, "probe_main");
	if (probe != NULL) {
		int status = probe();

		fflush(stdout);
		_exit(status);
	}
}
