/*
 * See writers.h. A writer increments a counter in each of its pages, and checks its last value before each
 * write.
 */
#include "writers.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_bool stop;
static int counted, counted_directly, written; /* files; see make_files */
static pthread_t threads[TASKS];
static unsigned running;

static char *page_of(const struct writer *writer, unsigned i)
{
	size_t in_block = (i % PER_BLOCK * TASKS + writer->task) * 6;

	return memory + i / PER_BLOCK * BLOCK + in_block * PAGE;
}

uint64_t check_page(const char *page)
{
	return *(const volatile uint64_t *)page;
}

/* Page n of the file has n + 1 in each word. */
static void read_page(int file, char *page, uint64_t value)
{
	CHECK(pread(file, page, PAGE, (off_t)((value - 1) * PAGE)) == (ssize_t)PAGE);
	CHECK(check_page(page + PAGE - 8) == value);
}

static void write_from(char *page, uint64_t value, unsigned i)
{
	uint64_t found = 0;

	*(volatile uint64_t *)page = value;
	CHECK(pwrite(written, page, PAGE, (off_t)(i * PAGE)) == (ssize_t)PAGE);
	CHECK(pread(written, &found, sizeof found, (off_t)(i * PAGE)) == sizeof found && found == value);
}

static void write_page(struct writer *writer, unsigned i)
{
	char *page = page_of(writer, i);
	uint64_t next = writer->last[i] % FILE_PAGES + 1;

	CHECK(check_page(page) == writer->last[i]);
	if (writer->task == READS || writer->task == READS_DIRECTLY)
		read_page(writer->task == READS ? counted : counted_directly, page, next);
	else if (writer->task == WRITES_FROM)
		write_from(page, next, i);
	else
		*(volatile uint64_t *)page = next;
	writer->last[i] = next;
}

static void *write_pages(void *argument)
{
	const struct timespec nap = {.tv_nsec = 200000};
	struct writer *writer = argument;

	while (!stop && !failed()) {
		for (unsigned i = 0; i < writer->blocks * PER_BLOCK && !stop; i++)
			write_page(writer, i);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

void verify_written(const struct writer *writers, unsigned count)
{
	for (unsigned w = 0; w < count; w++)
		for (unsigned i = 0; i < writers[w].blocks * PER_BLOCK; i++)
			CHECK(check_page(page_of(&writers[w], i)) == writers[w].last[i]);
}

unsigned start_writers(struct writer writers[TASKS], unsigned tasks)
{
	memset(writers, 0, TASKS * sizeof *writers);
	stop = false;
	running = 0;
	for (unsigned task = 0; task < TASKS; task++) {
		struct writer *writer = &writers[running];

		if (!(tasks >> task & 1))
			continue;
		writer->task = (enum task)task;
		writer->blocks = task == READS || task == READS_DIRECTLY ? WITHOUT_READS : IDLE;
		if (CHECK(pthread_create(&threads[running], NULL, write_pages, writer) == 0))
			running++;
	}
	return running;
}

void stop_writers(void)
{
	stop = true;
	while (running > 0)
		pthread_join(threads[--running], NULL);
}

/* --- files --- */

static int make_file(char name[300])
{
	const char *directory = getenv("TMPDIR");

	snprintf(name, 300, "%s/lazyzero-stress-XXXXXX", directory != NULL ? directory : "/tmp");
	return mkstemp(name);
}

bool make_files(void)
{
	char name[300];
	uint64_t page[512];

	counted = make_file(name);
	for (unsigned i = 0; i < FILE_PAGES; i++) {
		for (unsigned k = 0; k < 512; k++)
			page[k] = i + 1;
		CHECK(pwrite(counted, page, PAGE, (off_t)(i * PAGE)) == (ssize_t)PAGE);
	}
	fsync(counted);
	counted_directly = open(name, O_RDONLY | O_CLOEXEC | O_DIRECT);
	unlink(name);
	written = make_file(name);
	unlink(name);
	CHECK(counted >= 0 && written >= 0);
	return counted_directly >= 0;
}

void close_files(void)
{
	close(counted);
	close(counted_directly);
	close(written);
}
