/* Runs the child; see child.h. */
#include "cli/launch/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/common/clock.h"
#include "cli/common/command.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/launch/oom.h"
#include "os/os.h"
#include "os/procfs.h"

#define FIRST_SAMPLE_NS 1000000
#define SAMPLE_NS 25000000 /* reading VmPTE takes about 20 us: 0.1 % of one processor */

/* The signal state that the command was started with; the child gets it back. */
struct start {
	sigset_t mask;
	struct sigaction on_child;
};

/* All signals except those that report an error in the command itself and those that stop it. */
static void handled_signals(sigset_t *set)
{
	static const int excluded[] = {
		SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGTSTP, SIGTTIN, SIGTTOU};

	sigfillset(set);
	for (size_t i = 0; i < sizeof excluded / sizeof *excluded; i++)
		sigdelset(set, excluded[i]);
}

static void block_signals(const sigset_t *set, struct start *start)
{
	struct sigaction default_action = {.sa_handler = SIG_DFL};

	sigprocmask(SIG_BLOCK, set, &start->mask);
	/* If SIGCHLD were inherited as ignored, the kernel would reap the child and discard its status. */
	sigaction(SIGCHLD, &default_action, &start->on_child);
}

static void redirect_to_null(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
}

static void exec_program(char *const argv[], bool null_stdio, const struct start *start, int report)
{
	int error;

	if (null_stdio)
		redirect_to_null();
	sigaction(SIGCHLD, &start->on_child, NULL);
	sigprocmask(SIG_SETMASK, &start->mask, NULL);
	execvp(argv[0], argv);
	error = errno;
	while (write(report, &error, sizeof error) < 0 && errno == EINTR)
		;
	_exit(LZ_EXIT_CANNOT_EXEC);
}

/*
 * Forks and executes the program. *exec_error is the errno of a failed exec, or 0. Returns the pid or -errno.
 */
static pid_t start_child(char *const argv[], bool null_stdio, const struct start *start, int *exec_error)
{
	ssize_t length;
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		exec_program(argv, null_stdio, start, pipes[1]);
	if (pid < 0)
		pid = -errno;
	close(pipes[1]);
	/* A successful exec closes the other end, so that nothing is read. */
	do {
		length = read(pipes[0], exec_error, sizeof *exec_error);
	} while (length < 0 && errno == EINTR);
	if (length != (ssize_t)sizeof *exec_error)
		*exec_error = 0;
	close(pipes[0]);
	return pid;
}

static bool is_termination_signal(int signal)
{
	return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

static void forward_signal(const siginfo_t *info, const struct lz_child_monitor *monitor, pid_t child)
{
	/*
	 * The terminal sends its signals to the child as well; signals from the child are not sent back to
	 * it.
	 */
	if (info->si_signo == SIGCHLD || info->si_code == SI_KERNEL || info->si_pid == child)
		return;
	if (monitor->before_signal != NULL && is_termination_signal(info->si_signo))
		monitor->before_signal(monitor->context);
	kill(child, info->si_signo);
}

/*
 * Stops the command as well if the child alone was stopped by a job-control signal; some full-screen programs
 * stop themselves so on Ctrl-Z. Otherwise the shell would wait for the command for ever. If SIGCONT is
 * already pending, the child has been continued and nothing is done.
 */
static void stop_with_child(int signal)
{
	sigset_t pending;

	if (signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU)
		return;
	if (sigpending(&pending) == 0 && sigismember(&pending, SIGCONT))
		return;
	raise(signal);
}

static void sample(const char *status_path, struct lz_child_result *result)
{
	struct lz_oom_state oom = result->oom;
	uint64_t now;

	lz_oom_watch(&oom, result->pid);
	/* A process that is ending has no memory and so no such line; its group is no longer the one it had.
	 */
	if (lz_proc_value(&lz_os_linux, status_path, "VmPTE:", &now) != 0)
		return;
	result->oom = oom;
	result->last_page_tables = now;
	result->last_sample_ns = lz_monotonic_ns();
	if (now > result->page_tables)
		result->page_tables = now;
}

/* The init process of a PID namespace is the parent of every process there that lost its own. */
static void reap_orphans(pid_t child)
{
	siginfo_t info;

	if (getpid() != 1)
		return;
	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0 ||
			info.si_pid == child)
			return;
		waitpid(info.si_pid, NULL, WNOHANG);
	}
}

static void monitor_child(const sigset_t *set, const struct lz_child_monitor *monitor,
	struct lz_child_result *result, struct rusage *usage)
{
	struct timespec pause = {.tv_nsec = FIRST_SAMPLE_NS};
	char status_path[64];

	snprintf(status_path, sizeof status_path, "/proc/%ld/status", (long)result->pid);
	for (;;) {
		siginfo_t info;
		pid_t changed;

		sample(status_path, result);
		reap_orphans(result->pid);
		if (monitor->sample != NULL)
			monitor->sample(monitor->context, result->pid);
		if (sigtimedwait(set, &info, &pause) > 0) {
			result->interrupted = result->interrupted || is_termination_signal(info.si_signo);
			forward_signal(&info, monitor, result->pid);
		}
		pause.tv_nsec = pause.tv_nsec * 2 < SAMPLE_NS ? pause.tv_nsec * 2 : SAMPLE_NS;
		changed = wait4(result->pid, &result->status, WNOHANG | WUNTRACED, usage);
		if (changed == result->pid && WIFSTOPPED(result->status))
			stop_with_child(WSTOPSIG(result->status));
		else if (changed == result->pid || (changed < 0 && errno == ECHILD))
			return;
	}
}

int lz_child_run(char *const argv[], const struct lz_child_monitor *monitor, struct lz_child_result *result)
{
	static struct start start; /* saved before the first child, used for all */
	static bool blocked;
	struct rusage usage = {.ru_maxrss = 0};
	uint64_t began, ended;
	sigset_t set;
	pid_t pid;

	*result = (struct lz_child_result){.pid = 0};
	handled_signals(&set);
	if (!blocked)
		block_signals(&set, &start);
	blocked = true;
	began = lz_monotonic_ns();
	pid = start_child(argv, monitor->null_stdio, &start, &result->exec_error);
	if (pid < 0)
		return pid;
	result->pid = pid;
	monitor_child(&set, monitor, result, &usage);
	ended = lz_monotonic_ns();
	result->seconds = (double)(ended - began) / (double)LZ_NS_PER_SECOND;
	result->last_sample_age = (double)(ended - result->last_sample_ns) / (double)LZ_NS_PER_SECOND;
	result->oom_killed = WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGKILL &&
			     lz_oom_has_killed(&result->oom);
	result->peak_rss = (uint64_t)usage.ru_maxrss * 1024;
	result->minor_faults = (uint64_t)usage.ru_minflt;
	result->major_faults = (uint64_t)usage.ru_majflt;
	return 0;
}

int lz_child_exec_failure(const char *program, int error)
{
	const char *reason = strerror(error);

	if (error == ENOENT && strchr(program, '/') == NULL)
		reason = "not found in PATH";
	else if (error == ENOENT && access(program, F_OK) == 0)
		reason = "the interpreter or dynamic loader that it names does not exist";
	lz_message("cannot run '%s': %s", lz_printable(program).text, reason);
	return error == ENOENT ? LZ_EXIT_NOT_FOUND : LZ_EXIT_CANNOT_EXEC;
}

int lz_child_propagate_exit(const struct lz_child_result *result)
{
	struct sigaction default_action = {.sa_handler = SIG_DFL};
	sigset_t set;
	int signal;

	if (!WIFSIGNALED(result->status))
		return WEXITSTATUS(result->status);
	signal = WTERMSIG(result->status);
	/* The program has dumped core, which the command must not overwrite. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigaction(signal, &default_action, NULL);
	sigemptyset(&set);
	sigaddset(&set, signal);
	raise(signal);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* Reached by the init process of a PID namespace, which the signal does not kill. */
	return 128 + signal;
}
