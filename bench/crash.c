/* A preloadable library that crashes the benchmark's workload, and nothing else that loads it; see check.sh.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

extern char *program_invocation_short_name;

__attribute__((constructor)) static void crash(void)
{
	if (strstr(program_invocation_short_name, "workload") != NULL)
		raise(SIGSEGV);
}
