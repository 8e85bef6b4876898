/*
 * Makes log events with all kinds of unusable output. To be run with a tiny budget.
 *
 *   logging events N        N requests over the budget, then "done" on stdout
 *   logging reopen FILE     closes fd 2, opens FILE (which becomes fd 2), then makes events
 *   logging broken-pipe     events with stderr a pipe without a reader, default action of SIGPIPE
 *   logging full-pipe       events with stderr a full pipe
 *   logging limit           events under RLIMIT_FSIZE 0, default action of SIGXFSZ
 *   logging handlers        the same two signals, caught and blocked by the program: none is delivered, none
 *                           is lost
 *   logging forks           more events than are logged, then 3 children without events
 */
#include "probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void count_signal(int number)
{
	(void)number;
	caught++;
}

static int make_events(long count)
{
	for (long i = 0; i < count; i++) {
		char *p = opaque_pointer(calloc(1, 8 * GB));

		if (p == NULL)
			return 1;
		p[GB] = 1;
		free(p);
	}
	return 0;
}

static int finish(int status)
{
	if (status == 0)
		puts("done");
	fflush(stdout);
	return status;
}

static int reopen(const char *path)
{
	close(STDERR_FILENO);
	if (open(path, O_RDWR | O_CREAT, 0600) != STDERR_FILENO)
		return 2;
	return make_events(3);
}

/* Executes this program again with stderr replaced from the start. */
static int restart(const char *action, int new_stderr)
{
	char *arguments[] = {probe_argv[0], (char *)action, (char *)"3", NULL};

	dup2(new_stderr, STDERR_FILENO);
	close(new_stderr);
	alarm(20);
	execv("/proc/self/exe", arguments);
	return 3;
}

static int broken_pipe(void)
{
	int ends[2];

	if (pipe(ends) != 0)
		return 2;
	close(ends[0]);
	return restart("events", ends[1]);
}

static int full_pipe(void)
{
	char bytes[4096] = "";
	int ends[2];

	if (pipe(ends) != 0)
		return 2;
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], bytes, sizeof bytes) > 0)
		continue;
	while (write(ends[1], bytes, 1) > 0)
		continue;
	fcntl(ends[1], F_SETFL, 0);
	return restart("events", ends[1]);
}

static int limited(void)
{
	struct rlimit none = {0, 0};

	signal(SIGXFSZ, SIG_DFL);
	setrlimit(RLIMIT_FSIZE, &none);
	return make_events(3);
}

/* stderr becomes a broken pipe while a SIGPIPE of the program is pending. */
static int with_handlers(void)
{
	sigset_t both, pending;
	int ends[2];

	signal(SIGPIPE, count_signal);
	signal(SIGXFSZ, count_signal);
	if (make_events(3) != 0 || caught != 0)
		return 4;
	sigemptyset(&both);
	sigaddset(&both, SIGPIPE);
	sigprocmask(SIG_BLOCK, &both, NULL);
	if (pipe(ends) != 0)
		return 2;
	close(ends[0]);
	if (write(ends[1], "", 1) > 0 || make_events(3) != 0)
		return 5;
	sigpending(&pending);
	if (!sigismember(&pending, SIGPIPE))
		return 6;
	sigprocmask(SIG_UNBLOCK, &both, NULL);
	return caught == 1 ? 0 : 7;
}

static int with_children(void)
{
	int status, result = make_events(30);

	for (int i = 0; i < 3; i++) {
		pid_t child = fork();

		if (child == 0)
			exit(0);
		waitpid(child, &status, 0);
	}
	return result;
}

int probe_main(void)
{
	const char *action = probe_argc > 1 ? probe_argv[1] : "events";

	if (strcmp(action, "reopen") == 0)
		return finish(reopen(probe_argv[2]));
	if (strcmp(action, "broken-pipe") == 0)
		return broken_pipe();
	if (strcmp(action, "full-pipe") == 0)
		return full_pipe();
	if (strcmp(action, "limit") == 0)
		return finish(limited());
	if (strcmp(action, "handlers") == 0)
		return finish(with_handlers());
	if (strcmp(action, "forks") == 0)
		return finish(with_children());
	return finish(make_events(probe_argc > 2 ? atol(probe_argv[2]) : 3));
}
