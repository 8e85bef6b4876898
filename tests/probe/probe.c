/* Runs a probe in the place that is asked for; see probe.h. */
#include "probe.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int probe_argc;
char **probe_argv;

static _Atomic int failures;

bool probe_preloaded(void)
{
	return dlsym(RTLD_DEFAULT, "lz_version") != NULL;
}

static size_t size_of_variable(const char *name, size_t standard)
{
	const char *value = getenv(name);
	char *unit;
	size_t size;

	if (value == NULL)
		return standard;
	size = strtoul(value, &unit, 10);
	return *unit == 'K' ? size * KB : *unit == 'M' ? size * MB : *unit == 'G' ? size * GB : size;
}

size_t probe_threshold(void)
{
	return size_of_variable("LAZYZERO_THRESHOLD", MB);
}

size_t probe_malloc_threshold(void)
{
	return size_of_variable("LAZYZERO_MALLOC_THRESHOLD", 32 * MB);
}

bool probe_keeps_freed(void)
{
	return probe_preloaded() && size_of_variable("LAZYZERO_CACHE", 64 * MB) != 0;
}

size_t probe_status(const char *name)
{
	char buffer[4096];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, buffer, sizeof buffer - 1);
	const char *at;

	if (fd >= 0)
		close(fd);
	buffer[length > 0 ? length : 0] = '\0';
	at = strstr(buffer, name);
	return at != NULL ? strtoul(at + strlen(name), NULL, 10) * KB : 0;
}

bool probe_check(bool ok, const char *file, int line, const char *format, ...)
{
	const char *slash = strrchr(file, '/');
	char text[512];
	va_list arguments;
	int length;

	if (ok)
		return true;
	failures++;
	va_start(arguments, format);
	length = snprintf(text, sizeof text - 256, "%s:%d: ", slash != NULL ? slash + 1 : file, line);
	vsnprintf(text + length, sizeof text - (size_t)length - 1, format, arguments);
	va_end(arguments);
	strcat(text, "\n");
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		failures++;
	return false;
}

bool probe_equal(uint64_t got, uint64_t expected, const char *file, int line, const char *what)
{
	return probe_check(got == expected, file, line, "%s is %lld (%#llx), expected %lld (%#llx)", what,
		(long long)got, (unsigned long long)got, (long long)expected, (unsigned long long)expected);
}

int probe_status_of_checks(void)
{
	return failures != 0;
}

uint64_t probe_random(void)
{
	static _Atomic uint64_t state = 88172645463325252u;
	uint64_t x = state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	state = x;
	return x;
}

static void *in_thread(void *result)
{
	*(int *)result = probe_main();
	return NULL;
}

static int in_child(void)
{
	pid_t child;
	int status;

	/* The parent uses what the child inherits. */
	free(opaque_pointer(calloc(1, 3 * MB)));
	child = fork();
	if (child == 0) {
		status = probe_main();
		fflush(stdout);
		_exit(status);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 2;
	if (WIFSIGNALED(status))
		fprintf(stderr, "the child was killed by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

int main(int argc, char **argv)
{
	const char *where = getenv("PROBE_WHERE");
	int result = 4;
	pthread_t thread;

	probe_argc = argc;
	probe_argv = argv;
	if (where == NULL || strcmp(where, "main") == 0)
		return probe_main();
	if (strcmp(where, "fork") == 0)
		return in_child();
	if (strcmp(where, "thread") == 0) {
		if (pthread_create(&thread, NULL, in_thread, &result) == 0)
			pthread_join(thread, NULL);
		return result;
	}
	fprintf(stderr, "PROBE_WHERE=%s: the probe was not run\n", where);
	return 5;
}
