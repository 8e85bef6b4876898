/*
 * Loads plugins so that nobody but they see the allocators they bring, as interpreters do, and lets each work
 * from two threads. lazyzero stands before their references to mi_free; every block must reach the
 * allocator that made it, and after dlclose and dlopen again, too.
 *
 *   host ROUNDS PLUGIN...
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static long rounds;

static void *work(void *function)
{
	long round = (*(long (**)(long))function)(rounds);

	/* What lazyzero looked for in vain is none of the program's failures. */
	if (round == 0 && dlerror() != NULL)
		round = -1;
	return (void *)round;
}

int main(int argc, char **argv)
{
	int failures = 0;

	if (argc < 3 || (rounds = strtol(argv[1], NULL, 10)) <= 0)
		return 2;
	for (int load = 0; load < 2; load++) {
		void *handles[8];
		void *functions[8];
		pthread_t threads[8][2];
		int count = 0;

		for (; count < 8 && count < argc - 2; count++) {
			handles[count] = dlopen(argv[2 + count], RTLD_NOW | RTLD_LOCAL);
			functions[count] =
				handles[count] != NULL ? dlsym(handles[count], "plugin_work") : NULL;
			if (functions[count] == NULL) {
				fprintf(stderr, "host: %s\n", dlerror());
				return 2;
			}
		}
		for (int i = 0; i < 2 * count; i++)
			if (pthread_create(&threads[i / 2][i % 2], NULL, work, &functions[i / 2]) != 0)
				return 2;
		for (int i = 0; i < 2 * count; i++) {
			void *round;

			pthread_join(threads[i / 2][i % 2], &round);
			if (round != NULL) {
				fprintf(stderr, "host: %s, load %d: round %ld went wrong\n", argv[2 + i / 2],
					load, (long)round);
				failures++;
			}
		}
		while (count > 0)
			dlclose(handles[--count]);
	}
	return failures != 0;
}
