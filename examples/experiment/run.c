/*
 * Runs one workload in a process of its own; see run.h. The child writes lines of "key value" to its standard
 * output, which is a pipe; the library's messages arrive there too.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common.h"
#include "cgroup.h"

extern char **environ;

#define SAMPLE_MS 20

/* No experiment takes this long; a machine on which one does is in trouble. */
#define DEADLINE_US (UINT64_C(20) * 60 * 1000000)

struct run {
	const struct workload *workload;
	enum column column;
	struct memory_cgroup group;
	struct outcome *outcome;
	int pipe, kernel_log;
	pid_t child;
	uint64_t started, tables, resident;
	bool runaway;
	char text[32768]; /* each process of a group may log a line */
	size_t length;
};

const char *const column_names[COLUMNS] = {"bare", "lazyzero", "window"};

static volatile sig_atomic_t stop_signal;

static void on_stop(int number)
{
	stop_signal = number;
}

static void watch_signals(void)
{
	const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	/* No SA_RESTART: poll is to return. */
	struct sigaction action = {.sa_handler = on_stop};

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		sigaction(numbers[i], &action, NULL);
}

static void add_value(struct outcome *outcome, const char *key, uint64_t value)
{
	if (outcome->count == sizeof outcome->values / sizeof *outcome->values || value == UNKNOWN)
		return;
	snprintf(outcome->values[outcome->count].key, sizeof outcome->values->key, "%s", key);
	outcome->values[outcome->count++].value = value;
}

uint64_t outcome_value(const struct outcome *outcome, const char *key)
{
	for (unsigned i = 0; i < outcome->count; i++)
		if (strcmp(outcome->values[i].key, key) == 0)
			return outcome->values[i].value;
	return UNKNOWN;
}

void report(const char *key, uint64_t value)
{
	printf("%s %" PRIu64 "\n", key, value);
}

void report_skipped(const char *why)
{
	printf("skipped %s\n", why);
}

/* --- the child, before it becomes the workload --- */

static void set_environment(const struct run *run)
{
	const char *const *setting = run->workload->settings;
	char **kept = environ;

	/* Neither column may depend on the caller's settings. */
	for (char **entry = environ; *entry != NULL; entry++)
		if (strncmp(*entry, "LAZYZERO_", 9) != 0 && strncmp(*entry, "LD_PRELOAD=", 11) != 0)
			*kept++ = *entry;
	*kept = NULL;
	if (run->column == BARE)
		return;
	setenv("LD_PRELOAD", run->workload->preload, 1);
	setenv("LAZYZERO_LOG", "fd:1", 1);
	for (; setting != NULL && *setting != NULL; setting++)
		putenv((char *)*setting);
}

static _Noreturn void become_workload(const struct run *run, int output)
{
	char size[24];
	FILE *score;

	/* Neither outlive the parent, nor let anybody else be killed in our place. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	score = fopen("/proc/self/oom_score_adj", "we");
	if (score != NULL) {
		fputs("1000", score);
		fclose(score);
	}
	if (run->group.path[0] != '\0' && !memory_cgroup_enter(&run->group)) {
		dprintf(output, "skipped cannot enter the memory control group: %s\n", strerror(errno));
		_exit(0);
	}
	set_environment(run);
	dup2(output, STDOUT_FILENO);
	snprintf(size, sizeof size, "%" PRIu64, run->workload->size);
	execl("/proc/self/exe", "experiments", "--child", run->workload->id, size, (char *)NULL);
	dprintf(output, "skipped cannot start the child: %s\n", strerror(errno));
	_exit(0);
}

/* --- the parent --- */

static bool start(struct run *run)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	fflush(stdout);
	run->child = fork();
	if (run->child == 0)
		become_workload(run, ends[1]);
	close(ends[1]);
	run->pipe = ends[0];
	run->started = now_us();
	return run->child > 0;
}

static void show_progress(const struct run *run)
{
	char tables[SIZE_TEXT];
	uint64_t seconds = (now_us() - run->started) / 1000000;

	if (isatty(STDERR_FILENO) && seconds > 0)
		fprintf(stderr, "\r%s %s: %" PRIu64 " s, %s of page tables   ", run->workload->id,
			column_names[run->column], seconds, format_size(tables, run->tables));
}

static void sample(struct run *run)
{
	uint64_t tables = status_bytes(run->child, "VmPTE");
	uint64_t resident = status_bytes(run->child, "VmRSS");

	/* Both are missing once the memory is gone. */
	if (tables != UNKNOWN && resident != UNKNOWN) {
		run->tables = tables > run->tables ? tables : run->tables;
		run->resident = resident;
	}
	/* A kernel that does not charge page tables to the group would let it eat the machine. */
	if (run->workload->limit != 0 && run->tables > run->workload->limit + run->workload->limit / 4)
		run->runaway = true;
	show_progress(run);
}

/* Reads what is there; false at the end, which is when the child is gone. */
static bool read_pipe(struct run *run)
{
	char scratch[256];
	size_t room = sizeof run->text - 1 - run->length;
	ssize_t got = room > 0 ? read(run->pipe, run->text + run->length, room)
			       : read(run->pipe, scratch, sizeof scratch);

	if (got > 0 && room > 0)
		run->length += (size_t)got;
	return got > 0 || (got < 0 && errno == EINTR);
}

/* Waits for the end of the child, and sees to it that there is one. */
static int attend(struct run *run)
{
	struct pollfd pollfd = {.fd = run->pipe, .events = POLLIN};
	bool killed = false, open = true;
	int status = 0;

	while (open) {
		if (poll(&pollfd, 1, SAMPLE_MS) > 0)
			open = read_pipe(run);
		else
			sample(run);
		if (!killed && (stop_signal || run->runaway || now_us() - run->started > DEADLINE_US)) {
			kill(run->child, SIGKILL);
			killed = true;
		}
	}
	while (waitpid(run->child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
	return status;
}

static void parse_output(struct run *run)
{
	struct outcome *outcome = run->outcome;
	char *rest = run->text, *line;
	char key[24];
	uint64_t value;

	run->text[run->length] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "skipped ", 8) == 0)
			snprintf(outcome->skipped, sizeof outcome->skipped, "%.150s", line + 8);
		else if (strncmp(line, "version ", 8) == 0)
			snprintf(outcome->version, sizeof outcome->version, "%.30s", line + 8);
		else if (strncmp(line, "lazyzero", 8) == 0)
			snprintf(outcome->message, sizeof outcome->message, "%.310s", line);
		else if (sscanf(line, "%23s %" SCNu64, key, &value) == 2)
			add_value(outcome, key, value);
	}
}

/*
 * The kernel's own words on the kill, if we may read its log: "...: Killed process 1234 (experiments)
 * total-vm:537024500kB, anon-rss:0kB, file-rss:1384kB, shmem-rss:0kB, UID:0 pgtables:1047080kB ...". The
 * process id there is that of the outermost namespace, so the name has to do.
 */
static void read_kernel_log(struct run *run)
{
	char record[2048];
	ssize_t got;

	while ((got = read(run->kernel_log, record, sizeof record - 1)) > 0 || (got < 0 && errno == EPIPE)) {
		char *killed, *tables;
		uint64_t kib;

		if (got < 0)
			continue; /* records were overwritten before they were read */
		record[got] = '\0';
		killed = strstr(record, "Killed process");
		tables = killed == NULL ? NULL : strstr(killed, "pgtables:");
		if (tables == NULL || strstr(killed, "(experiments)") == NULL)
			continue;
		if (sscanf(tables, "pgtables:%" SCNu64 "kB", &kib) == 1)
			add_value(run->outcome, "log_tables", kib * KIB);
		killed[strcspn(killed, "\n")] = '\0';
		snprintf(run->outcome->message, sizeof run->outcome->message, "kernel: %.300s", killed);
	}
}

static void confine(struct run *run)
{
	struct outcome *outcome = run->outcome;
	uint64_t available = UNKNOWN;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file != NULL && available == UNKNOWN && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "MemAvailable: %" SCNu64, &available) == 1)
			available *= KIB;
	if (file != NULL)
		fclose(file);
	if (available < run->workload->limit + run->workload->limit / 2) {
		snprintf(outcome->skipped, sizeof outcome->skipped, "too little memory is free; try --scale");
		return;
	}
	memory_cgroup_make(&run->group, run->workload->limit, outcome->skipped, sizeof outcome->skipped);
	run->kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (run->kernel_log >= 0)
		lseek(run->kernel_log, 0, SEEK_END);
}

static void release(struct run *run)
{
	if (run->group.path[0] != '\0') {
		add_value(run->outcome, "oom_kills", memory_cgroup_oom_kills(&run->group));
		memory_cgroup_remove(&run->group);
	}
	if (run->kernel_log >= 0) {
		read_kernel_log(run);
		close(run->kernel_log);
	}
	if (stop_signal) {
		signal(stop_signal, SIG_DFL);
		raise(stop_signal);
	}
}

void run_workload(const struct workload *workload, enum column column, struct outcome *outcome)
{
	struct run run = {.workload = workload, .column = column, .outcome = outcome, .kernel_log = -1};
	int status;

	*outcome = (struct outcome){.count = 0};
	watch_signals();
	if (workload->limit != 0)
		confine(&run);
	if (outcome->skipped[0] == '\0' && !start(&run))
		snprintf(outcome->skipped, sizeof outcome->skipped, "cannot start a process: %s",
			strerror(errno));
	if (outcome->skipped[0] == '\0') {
		status = attend(&run);
		close(run.pipe);
		parse_output(&run);
		add_value(outcome, "end", (uint64_t)status);
		add_value(outcome, "us", now_us() - run.started);
		add_value(outcome, "last_rss", run.resident);
		add_value(outcome, "peak_tables", run.tables);
		if (run.runaway)
			snprintf(outcome->skipped, sizeof outcome->skipped,
				"this kernel does not charge page tables to control groups; stopped in time");
	}
	release(&run);
}
