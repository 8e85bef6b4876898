/*
 * Draws pictures with gnuplot(1). The caller writes a script to gnuplot's standard input. The picture is
 * drawn into a temporary file, which replaces the named file only if gnuplot succeeds.
 */
#ifndef LZ_CLI_COMMON_GNUPLOT_H
#define LZ_CLI_COMMON_GNUPLOT_H

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

struct lz_gnuplot {
	FILE *script; /* gnuplot's standard input */
	pid_t pid;
	const char *path;
	char temporary[PATH_MAX]; /* the file gnuplot draws into */
};

/*
 * Checks that a picture of that name can be created, before time is spent on measuring. Returns 0, or -errno
 * after an error message.
 */
int lz_gnuplot_check(const char *path);

/*
 * Starts gnuplot for a picture of that size in pixels. The suffix of the path, .svg or .png, selects the
 * format. Returns 0, or -errno after an error message.
 */
int lz_gnuplot_start(struct lz_gnuplot *plot, const char *path, int width, int height);

/* Writes text to the script as a quoted string. */
void lz_gnuplot_text(const struct lz_gnuplot *plot, const char *text);

/* Ends the script and waits for gnuplot. Returns 0, or the exit status after an error message. */
int lz_gnuplot_finish(struct lz_gnuplot *plot);

#endif
