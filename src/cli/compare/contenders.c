/* Lists the contenders; see contenders.h. */
#include "cli/compare/contenders.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/common/command.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "support/options.h"

#define OTHERS_MAX 16u

static void exec_version_preloaded(const char *preload, int report)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	setenv("LD_PRELOAD", preload, 1);
	dup2(null, STDOUT_FILENO);
	dup2(report, STDERR_FILENO);
	execl("/proc/self/exe", "lazyzero", "--version", NULL);
	_exit(0);
}

/*
 * Sets `problem` to the reason why the dynamic loader cannot preload a library, or to "". The loader prints
 * an error and continues without the library, so the bare program would be measured. The check runs `lazyzero
 * --version` with the library.
 */
static void check_preloadable(const char *name, char *problem, size_t capacity)
{
	char output[1024];
	size_t length = 0;
	ssize_t got;
	int pipes[2];
	const char *start;
	pid_t pid;

	problem[0] = '\0';
	if (pipe2(pipes, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		return;
	if (pid == 0)
		exec_version_preloaded(name, pipes[1]);
	close(pipes[1]);
	while (length < sizeof output - 1 &&
		(got = read(pipes[0], output + length, sizeof output - 1 - length)) > 0)
		length += (size_t)got;
	output[length] = '\0';
	close(pipes[0]);
	waitpid(pid, NULL, 0);
	/* "ERROR: ld.so: object 'x' from LD_PRELOAD cannot be preloaded (why): ignored." */
	start = strstr(output, "cannot be preloaded");
	if (start != NULL)
		snprintf(problem, capacity, "%.*s", (int)strcspn(start, ":\n"), start);
}

static struct lz_contender *add_contender(struct lz_comparison *comparison, const char *name)
{
	struct lz_contender *contender = &comparison->contenders[comparison->count++];

	snprintf(contender->name, sizeof contender->name, "%.47s", name);
	contender->runs = calloc(comparison->rounds, sizeof *contender->runs);
	return contender;
}

static bool accepts_window(void)
{
	static struct lz_options scratch;
	const struct lz_option *option = lz_option_by_name("BACKING", strlen("BACKING"));

	return option != NULL && lz_option_set(&scratch, option, "window") == 0;
}

/* Adds the libraries in the list of --with, which is modified. */
static int add_others(struct lz_comparison *comparison, char *list)
{
	char *rest = list, *word;

	while (list != NULL && (word = strsep(&rest, ",")) != NULL) {
		struct lz_contender *contender;

		if (*word == '\0')
			continue;
		if (comparison->count == OTHERS_MAX + 3)
			return lz_fail("--with: at most %u libraries", OTHERS_MAX);
		contender = add_contender(comparison, lz_base_name(word));
		contender->preload = word;
		check_preloadable(word, contender->problem, sizeof contender->problem);
		if (strpbrk(word, " :") != NULL)
			snprintf(contender->problem, sizeof contender->problem,
				"LD_PRELOAD does not allow spaces or colons in its name");
	}
	return 0;
}

int lz_contenders_init(struct lz_comparison *comparison, const char *library, char *others)
{
	struct lz_contender *contender;

	comparison->contenders = calloc(OTHERS_MAX + 3, sizeof *comparison->contenders);
	if (comparison->contenders == NULL)
		return lz_fail_memory();
	add_contender(comparison, "bare");
	contender = add_contender(comparison, "lazyzero (auto)");
	contender->preload = library;
	contender->backing = "auto";
	if (accepts_window()) {
		contender = add_contender(comparison, "lazyzero (window)");
		contender->preload = library;
		contender->backing = "window";
	}
	if (add_others(comparison, others) != 0)
		return LZ_EXIT_FAILURE;
	for (size_t i = 0; i < comparison->count; i++)
		if (comparison->contenders[i].runs == NULL)
			return lz_fail_memory();
	return 0;
}

void lz_contenders_free(struct lz_comparison *comparison)
{
	for (size_t i = 0; i < comparison->count; i++)
		free(comparison->contenders[i].runs);
	free(comparison->contenders);
}
