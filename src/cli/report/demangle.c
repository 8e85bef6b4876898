/* Demangles; see demangle.h. */
#include "cli/report/demangle.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"

#ifdef HAVE_LIBIBERTY

#include <libiberty/demangle.h>

char *lz_demangle(const char *name)
{
	char *found = cplus_demangle(name, DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI);

	return found != NULL ? found : strdup(name);
}

#else

#include <dlfcn.h>
#include <stdbool.h>

/* With the C++ library, if that is installed, which knows C++ and the older mangling of Rust. */
char *lz_demangle(const char *name)
{
	static char *(*demangle)(const char *, char *, size_t *, int *);
	static bool looked;
	char *found = NULL;

	if (!looked && strncmp(name, "_Z", 2) == 0) {
		void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);

		if (library != NULL)
			*(void **)&demangle = dlsym(library, "__cxa_demangle");
		looked = true;
	}
	if (demangle != NULL && strncmp(name, "_Z", 2) == 0)
		found = demangle(name, NULL, NULL, NULL);
	return found != NULL ? found : strdup(name);
}

#endif
