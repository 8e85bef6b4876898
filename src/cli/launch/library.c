/* Finds the library; see library.h. */
#include "cli/launch/library.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"

#define SONAME "liblazyzero.so.0"
#define PLACES 3

/* Joins a directory and a name; "" if the result is too long. */
static void join_path(char path[PATH_MAX], const char *directory, const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX)
		path[0] = '\0';
}

/* The directory of the command's executable. */
static int own_directory(char directory[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);
	char *slash;

	if (length < 0)
		return -errno;
	directory[length] = '\0';
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

/* The build tree comes first: a command that is run from there should use the library of the same build. */
static void list_places(char places[PLACES][PATH_MAX])
{
	char directory[PATH_MAX];

	places[0][0] = places[2][0] = '\0';
	if (own_directory(directory) == 0) {
		join_path(places[0], directory, ".libs/liblazyzero.so");
		join_path(places[2], directory, "../lib/" SONAME);
	}
	join_path(places[1], LZ_LIBDIR, SONAME);
}

static int search_places(struct lz_library *library)
{
	char places[PLACES][PATH_MAX];

	list_places(places);
	for (int i = 0; i < PLACES; i++)
		if (places[i][0] != '\0' && access(places[i], R_OK) == 0) {
			memcpy(library->path, places[i], PATH_MAX);
			return 0;
		}
	lz_message("cannot find the library; searched:");
	for (int i = 0; i < PLACES; i++)
		if (places[i][0] != '\0')
			fprintf(stderr, "  %s\n", places[i]);
	fputs("Install it ('make install'), or name it with --library=PATH.\n", stderr);
	return -ENOENT;
}

/*
 * Makes the path absolute, since the program may change its directory. Symbolic links are not resolved, so
 * that the path survives an upgrade of the library.
 */
static int use_given_path(struct lz_library *library, const char *given)
{
	char directory[PATH_MAX] = "";

	if (*given != '/' && getcwd(directory, sizeof directory) == NULL) {
		lz_message("cannot determine the current directory: %s; give --library an absolute path",
			strerror(errno));
		return -ENOENT;
	}
	if (snprintf(library->path, PATH_MAX, "%s%s%s", directory, *given != '/' ? "/" : "", given) >=
		PATH_MAX) {
		lz_message("the path of the library is too long");
		return -ENAMETOOLONG;
	}
	if (access(library->path, R_OK) != 0) {
		lz_message("cannot read the library '%s': %s", lz_printable(given).text, strerror(errno));
		return -ENOENT;
	}
	return 0;
}

int lz_library_find(struct lz_library *library, const char *given)
{
	int error = given != NULL ? use_given_path(library, given) : search_places(library);

	if (error)
		return error;
	/* LD_PRELOAD has no quoting (ld.so(8)). */
	if (strpbrk(library->path, ": ") != NULL) {
		lz_message("'%s' cannot be preloaded: LD_PRELOAD does not allow spaces or colons; copy the "
			   "library to a path without them and name it with --library",
			lz_printable(library->path).text);
		return -EINVAL;
	}
	error = lz_elf_inspect(library->path, &library->elf);
	if (error)
		lz_message("'%s' is not a shared library", lz_printable(library->path).text);
	return error;
}

int lz_preload_set(const char *library, const char *others)
{
	char *list;
	int error;

	if (others == NULL || *others == '\0')
		return setenv("LD_PRELOAD", library, 1) != 0 ? -errno : 0;
	if (asprintf(&list, "%s:%s", library, others) < 0)
		return -ENOMEM;
	error = setenv("LD_PRELOAD", list, 1) != 0 ? -errno : 0;
	free(list);
	return error;
}

int lz_library_preload(const struct lz_library *library)
{
	return lz_preload_set(library->path, getenv("LD_PRELOAD"));
}
