/* Draws with gnuplot; see gnuplot.h. */
#include "cli/common/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/common/command.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"

/* The gnuplot terminal for the name's suffix; NULL after an error message. */
static const char *output_terminal(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot != NULL && strcasecmp(dot, ".svg") == 0)
		return "svg enhanced background rgb 'white' font 'sans-serif,13'";
	if (dot != NULL && strcasecmp(dot, ".png") == 0)
		return "pngcairo enhanced font 'sans-serif,11'";
	lz_fail("cannot draw '%s': the name must end in .svg or .png", lz_printable(path).text);
	return NULL;
}

static void exec_gnuplot(int input)
{
	char *const argv[] = {(char *)"gnuplot", (char *)"-", NULL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(input, STDIN_FILENO);
	/* The user's settings must not change the picture, nor gnuplot print on our standard output. */
	setenv("GNUTERM", "dumb", 1);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], argv);
	if (errno == ENOENT)
		lz_message(
			"gnuplot is not installed; install it (package gnuplot, or gnuplot-nox), then draw "
			"again");
	else
		lz_message("cannot run gnuplot: %s", strerror(errno));
	_exit(LZ_EXIT_NOT_FOUND);
}

int lz_gnuplot_check(const char *path)
{
	char *file = NULL;
	int fd, error = 0;

	if (output_terminal(path) == NULL)
		return -EINVAL;
	fd = asprintf(&file, "%s.XXXXXX", path) < 0 ? -1 : mkostemp(file, O_CLOEXEC);
	if (fd < 0) {
		error = -errno;
		lz_fail_write(path, -error);
	} else {
		close(fd);
		unlink(file);
	}
	free(file);
	return error;
}

int lz_gnuplot_start(struct lz_gnuplot *plot, const char *path, int width, int height)
{
	const char *terminal = output_terminal(path);
	int pipes[2], fd;

	plot->path = path;
	if (terminal == NULL)
		return -EINVAL;
	if (snprintf(plot->temporary, sizeof plot->temporary, "%s.XXXXXX", path) >=
		(int)sizeof plot->temporary) {
		lz_fail("the name of the picture is too long");
		return -ENAMETOOLONG;
	}
	fd = mkostemp(plot->temporary, O_CLOEXEC);
	if (fd < 0 || pipe2(pipes, O_CLOEXEC) != 0) {
		lz_fail_write(path, errno);
		return -EIO;
	}
	close(fd);
	signal(SIGPIPE, SIG_IGN);
	fflush(NULL);
	plot->pid = fork();
	if (plot->pid == 0)
		exec_gnuplot(pipes[0]);
	close(pipes[0]);
	plot->script = fdopen(pipes[1], "w");
	if (plot->pid < 0 || plot->script == NULL) {
		lz_fail("cannot start gnuplot: %s", strerror(errno));
		unlink(plot->temporary);
		return -EIO;
	}
	fprintf(plot->script, "set terminal %s size %d,%d\nset output ", terminal, width, height);
	lz_gnuplot_text(plot, plot->temporary);
	fputc('\n', plot->script);
	return 0;
}

/*
 * Only the quote is special between single quotes. Control characters, which could end the line, become "?".
 */
void lz_gnuplot_text(const struct lz_gnuplot *plot, const char *text)
{
	fputc('\'', plot->script);
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			fputs("''", plot->script);
		else
			fputc((unsigned char)*text < 0x20 ? '?' : *text, plot->script);
	}
	fputc('\'', plot->script);
}

int lz_gnuplot_finish(struct lz_gnuplot *plot)
{
	mode_t mask = umask(0);
	int status;

	umask(mask);
	fclose(plot->script);
	if (waitpid(plot->pid, &status, 0) != plot->pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		unlink(plot->temporary);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != LZ_EXIT_NOT_FOUND)
			lz_message("gnuplot could not draw the picture");
		return LZ_EXIT_FAILURE;
	}
	chmod(plot->temporary, 0666 & ~mask);
	if (rename(plot->temporary, plot->path) != 0) {
		lz_fail_write(plot->path, errno);
		unlink(plot->temporary);
		return LZ_EXIT_FAILURE;
	}
	return 0;
}
