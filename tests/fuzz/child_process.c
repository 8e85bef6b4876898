/*
 * A sequence in a process of its own, preloaded and with its settings, since it may crash. The records and
 * the progress go through memory files, what it says on stderr as well.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 120 /* seconds, after which it hangs */
#define RECORDS_FD 40
#define PROGRESS_FD 41

static int file_of(const void *bytes, size_t length)
{
	int fd = memfd_create("fuzz-records", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)length) != 0 ||
		(bytes != NULL && pwrite(fd, bytes, length, 0) != (ssize_t)length)) {
		perror("fuzz: no memory file");
		exit(UNUSABLE);
	}
	return fd;
}

static void become(const struct sequence *sequence, bool traced, int records, int progress, int output)
{
	const char *library = getenv("LZ_LIBRARY");
	char count[24], threads[12];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(output, STDERR_FILENO);
	dup2(records, RECORDS_FD);
	dup2(progress, PROGRESS_FD);
	for (unsigned i = 0; i < sequence->setting_count; i++)
		putenv((char *)sequence->settings[i]);
	if (library != NULL && *library != '\0')
		setenv("LD_PRELOAD", library, 1);
	snprintf(count, sizeof count, "%zu", sequence->count);
	snprintf(threads, sizeof threads, "%u", sequence->threads);
	alarm(PATIENCE);
	execl("/proc/self/exe", "fuzz", "--run", count, threads, traced ? "traced" : "quiet", (char *)NULL);
	perror("fuzz: exec");
	_exit(UNUSABLE);
}

void run_child(const struct sequence *sequence, bool traced, struct outcome *outcome)
{
	size_t bytes = sequence->count * sizeof *sequence->records;
	int records = file_of(sequence->records, bytes), shared = file_of(NULL, PAGE),
	    output = file_of(NULL, 0);
	struct progress *progress = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
	char buffer[8192];
	pid_t child;
	ssize_t got;

	fflush(NULL);
	child = fork();
	if (child == 0)
		become(sequence, traced, records, shared, output);
	if (child < 0 || progress == MAP_FAILED) {
		perror("fuzz: no process");
		exit(UNUSABLE);
	}
	while (waitpid(child, &outcome->status, 0) < 0 && errno == EINTR)
		;
	outcome->failed = outcome->status != 0;
	outcome->operations = progress->operations;
	outcome->incomparable = progress->incomparable;
	for (int i = 0; i < THREADS_MAX; i++)
		outcome->at[i] = progress->at[i];
	memset(outcome->text, 0, sizeof outcome->text);
	if (traced) {
		for (off_t at = 0; (got = pread(output, buffer, sizeof buffer, at)) > 0; at += got)
			fwrite(buffer, 1, (size_t)got, stdout);
	} else if (pread(output, outcome->text, sizeof outcome->text - 1, 0) < 0) {
		outcome->text[0] = '\0';
	}
	if (WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == UNUSABLE) {
		fprintf(stderr, "fuzz: the process for a sequence could not be started: %s\n", outcome->text);
		exit(UNUSABLE);
	}
	munmap(progress, PAGE);
	close(records);
	close(shared);
	close(output);
}
