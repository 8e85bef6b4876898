/*
 * Drawing with gnuplot(1): a script is written to it, and the picture takes the place of the file of that
 * name only when all went well.
 */
#ifndef LZ_CLI_GNUPLOT_H
#define LZ_CLI_GNUPLOT_H

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

struct lz_gnuplot {
	FILE *script; /* gnuplot's standard input */
	pid_t pid;
	const char *path;
	char temporary[PATH_MAX]; /* what it draws into */
};

/* Whether a picture of that name can be drawn there, before work is done for it: 0, or -errno, having said
 * why. */
int lz_gnuplot_check(const char *path);

/*
 * Starts gnuplot for a picture of that many pixels; its kind is told by the end of the name: .svg or .png.
 * Returns 0, or -errno after saying what is wrong.
 */
int lz_gnuplot_start(struct lz_gnuplot *plot, const char *path, int width, int height);

/* Writes a text, quoted, into the script. */
void lz_gnuplot_text(const struct lz_gnuplot *plot, const char *text);

/* Ends the script and waits. Returns 0, or the exit status after saying what is wrong. */
int lz_gnuplot_finish(struct lz_gnuplot *plot);

#endif
